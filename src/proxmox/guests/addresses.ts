import { each } from "../../each.ts";
import { isProblem, type Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { GuestId, Wire } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { interfacesQuestion } from "./guest-agent.ts";

type At = GuestId & { readonly node: string };

/** Between two questions to an agent, in ms; a silent one keeps PVE waiting for another 3 s. */
const pauseMs = 3_000;

/** Questions to agents at the same time; each waits in its node's queue besides. */
const atOnce = 8;

/** What a guest has told; or what kept it from telling any. */
export type Told =
  | { readonly addresses: readonly string[] }
  | { readonly addresses?: undefined; readonly why: string };

/** How guests are reached. PVE: GET …/qemu/{vmid}/agent/network-get-interfaces, GET …/lxc/{vmid}/interfaces */
export class Addresses {
  readonly #verbs: Verbs;

  constructor(verbs: Verbs) {
    this.#verbs = verbs;
  }

  /**
   * What these guests, which run, tell: by vmid, a request for each whose answer is not in memory (30 s). Never fails for one that can't
   * be asked, nor for all of a node that is silent, and is not asked at all: those have their reason. Throws `cancelled`.
   */
  async of(
    guests: readonly At[],
    silent: ReadonlySet<string>,
    call: Call,
  ): Promise<ReadonlyMap<number, Told>> {
    const asked = await each(guests, atOnce, (guest) => this.#told(guest, silent, call));
    const told = new Map<number, Told>();
    for (const [index, { vmid }] of guests.entries()) {
      const one = asked[index];
      if (one?.ok === false && one.problem.kind === "cancelled") throw one.problem;
      told.set(vmid, one?.ok ? one.value : { why: reasonOf(one?.problem) });
    }
    return told;
  }

  async #told(guest: At, silent: ReadonlySet<string>, call: Call): Promise<Told> {
    if (silent.has(guest.node)) return { why: "its node is silent" };
    const interfaces = await this.#verbs.observe(call, interfacesQuestion(guest));
    return { addresses: reachable(interfaces) };
  }

  /** Asks until the guest's agent tells one, or `until` (clock time in ms) has come: then why there is none. Never fails for what it is told. */
  async wait(guest: At, until: number, call: Call): Promise<Told> {
    const { clock } = this.#verbs;
    call.progress?.({ message: "waits for its address" });
    while (clock.now() + pauseMs < until && !call.signal.aborted) {
      await clock.sleep(pauseMs, { signal: call.signal });
      const found = await this.#ask(guest, call);
      if (typeof found === "string") return { why: found };
      if (found.length > 0) return { addresses: found };
    }
    return { why: "its guest agent has told none yet" };
  }

  /** Why not, where asking again is of no use. */
  async #ask(guest: At, call: Call): Promise<readonly string[] | string> {
    try {
      return reachable(await this.#verbs.live(call, interfacesQuestion(guest)));
    } catch (error) {
      if (!isProblem(error)) throw error;
      const later = ["conflict", "timeout", "busy", "unreachable"].includes(error.kind);
      return later ? [] : `its guest agent could not be asked (${error.kind})`;
    }
  }
}

/** Without the loopback and link-local ones, which say nothing about how to reach a guest; IPv4 first, as they are mostly asked for. */
function reachable(interfaces: readonly Wire[]): readonly string[] {
  const all = interfaces
    .flatMap((nic) => nic["addresses"] as readonly string[])
    .map((address) => address.split("/", 1)[0] ?? "")
    .filter((address) => address !== "" && !own.test(address));
  return all.toSorted((a, b) => Number(a.includes(":")) - Number(b.includes(":")));
}

const own = /^(?:127\.|169\.254\.|::1$|fe[89ab])/i;

/** In a few words: it stands beside others in a list. */
function reasonOf(problem: Problem | undefined): string {
  if (problem?.facts["agent"] === false) return "no guest agent answers";
  const words: Partial<Record<string, string>> = {
    unreachable: "its node does not answer",
    timeout: "no answer in time",
    forbidden: "these credentials may not ask",
    not_found: "not there any more",
  };
  return words[problem?.kind ?? ""] ?? "could not be asked";
}
