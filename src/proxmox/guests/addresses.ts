import { each, outcome } from "../../each.ts";
import { isProblem, type Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { GuestId, Wire } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { interfacesQuestion } from "./guest-agent.ts";

type At = GuestId & { readonly node: string };

/** Between two questions to an agent, in ms; a silent one keeps PVE waiting for another 3 s. */
const pauseMs = 3_000;

/** Who has not answered by then, in ms, is named: most clients give up after 60 s, and each dead agent takes PVE 3 s. */
const patienceMs = 40_000;
/** Progress is told after so many answers. */
const toldEvery = 10;

/** The reason of who had no turn: fewer at once would all have one. */
export const noTurn = "not reached in time";

/** What a guest has told; or what kept it from telling any. */
export type Told =
  | { readonly addresses: readonly string[]; readonly nodeIsSilent?: undefined }
  | { readonly addresses?: undefined; readonly why: string; readonly nodeIsSilent?: boolean };

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
    const done = new AbortController();
    const late = new AbortController();
    const { clock } = this.#verbs;
    const giveUp = clock.sleep(patienceMs, { signal: done.signal, background: true });
    giveUp.then(
      () => late.abort(),
      () => undefined, // rejected: all have answered
    );
    const asked = await this.#ask(guests, silent, call.until(late.signal)).finally(() =>
      done.abort(),
    );
    const told = new Map<number, Told>();
    for (const [index, { vmid }] of guests.entries()) {
      const one = asked[index];
      if (one?.ok === false && call.signal.aborted) throw one.problem;
      told.set(vmid, one?.ok ? one.value : reasonOf(one?.problem));
    }
    return told;
  }

  #ask(guests: readonly At[], silent: ReadonlySet<string>, call: Call) {
    let answers = 0;
    // All at once: they wait in their nodes' queues, where those of a node that hangs give up together.
    return each(guests, guests.length, async (guest) => {
      const answer = await outcome(this.#told(guest, silent, call));
      if (++answers % toldEvery === 0) {
        const done = answers / guests.length;
        call.progress?.({ done, message: `${answers} of ${guests.length} guests have answered` });
      }
      if (answer.ok) return answer.value;
      throw answer.problem;
    });
  }

  async #told(guest: At, silent: ReadonlySet<string>, call: Call): Promise<Told> {
    if (silent.has(guest.node)) return { why: "its node is silent", nodeIsSilent: true };
    const interfaces = await this.#verbs.observe(call, interfacesQuestion(guest));
    return { addresses: reachable(interfaces) };
  }

  /** Asks until the guest's agent tells one, or `until` (clock time in ms) has come: then why there is none. Never fails for what it is told. */
  async wait(guest: At, until: number, call: Call): Promise<Told> {
    const { clock } = this.#verbs;
    call.progress?.({ message: "waits for its address" });
    while (clock.now() + pauseMs < until && !call.signal.aborted) {
      await clock.sleep(pauseMs, { signal: call.signal });
      const found = await this.#askAgain(guest, call);
      if (typeof found === "string") return { why: found };
      if (found.length > 0) return { addresses: found };
    }
    return { why: "its guest agent has told none yet" };
  }

  /** Why not, where asking again is of no use. */
  async #askAgain(guest: At, call: Call): Promise<readonly string[] | string> {
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
function reasonOf(problem: Problem | undefined): Told {
  const kind = problem?.kind ?? "";
  if (["unreachable", "timeout"].includes(kind))
    return { why: "its node does not answer", nodeIsSilent: true };
  if (problem?.facts["agent"] === false) return { why: "no guest agent answers" };
  const words: Partial<Record<string, string>> = {
    cancelled: noTurn,
    forbidden: "these credentials may not ask",
    not_found: "not there any more",
  };
  return { why: words[kind] ?? "could not be asked" };
}
