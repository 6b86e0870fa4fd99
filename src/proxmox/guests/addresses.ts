import { each, type Outcome, outcome } from "../../each.ts";
import { isProblem, type Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { GuestId, Wire } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { interfacesQuestion } from "./guest-agent.ts";
import { isMissing } from "./guests.ts";

type At = GuestId & { readonly node: string };

/** Between two questions to an agent, in ms; a silent one keeps PVE waiting for another 3 s. */
const pauseMs = 3_000;

/** Who has not answered by then, in ms, is named: most clients give up after 60 s, and each dead agent takes PVE 3 s. */
const patienceMs = 40_000;
/** Progress is told after so many answers. */
const toldEvery = 10;

/** The reason of who had no turn: fewer at once would all have one. */
const noTurn = "not reached in time";
export type NoTurn = typeof noTurn;

/** What a guest has told; or what kept it from telling any. */
export type Told = (
  | { readonly addresses: readonly string[]; readonly nodeIsSilent?: undefined }
  | { readonly addresses?: undefined; readonly why: string; readonly nodeIsSilent?: boolean }
) & {
  /** Where it was found, if that is another node than its row had. */
  readonly node?: string;
};

/** How guests are reached. PVE: GET …/qemu/{vmid}/agent/network-get-interfaces, GET …/lxc/{vmid}/interfaces */
export class Addresses {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;

  constructor(verbs: Verbs, lookup: Lookup) {
    this.#verbs = verbs;
    this.#lookup = lookup;
  }

  /**
   * What these guests, which run, tell: by vmid, a request for each whose answer is not in memory (30 s). Never fails for one that can't
   * be asked, nor for all of a node that is silent, and is not asked at all: those have their reason. Who has left its node is asked where
   * it is now, for one inventory for all of them. Throws `cancelled`.
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

  async #ask(guests: readonly At[], silent: ReadonlySet<string>, call: Call) {
    const asked = await this.#round(guests, silent, call);
    const lost = guests.filter((_, index) => {
      const one = asked[index];
      return one?.ok === false && isMissing(one.problem);
    });
    if (lost.length === 0) return asked;
    const now = await this.#elsewhere(lost, silent, call);
    return guests.map(({ vmid }, index) => now.get(vmid) ?? asked[index]);
  }

  /** Rows may be ten seconds old: those of these guests that have moved meanwhile. */
  async #elsewhere(
    lost: readonly At[],
    silent: ReadonlySet<string>,
    call: Call,
  ): Promise<ReadonlyMap<number, Outcome<Told>>> {
    const inventory = await outcome(this.#lookup.liveInventory(call));
    if (!inventory.ok) return new Map(lost.map(({ vmid }) => [vmid, unsure(inventory.problem)]));
    const moved = lost.flatMap(({ vmid, type, node }) => {
      const row = this.#lookup.rowOf(vmid, inventory.value);
      return row && row.type === type && row.node !== node ? [row] : [];
    });
    const asked = await this.#round(moved, silent, call);
    return new Map(
      moved.map(({ vmid, node }, index) => {
        const one = asked[index];
        const told = one?.ok ? one.value : reasonOf(one?.problem);
        return [vmid, { ok: true, value: { ...told, node } }];
      }),
    );
  }

  #round(guests: readonly At[], silent: ReadonlySet<string>, call: Call) {
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

/** Whether it is still there could not be found out. */
function unsure(problem: Problem): Outcome<Told> {
  if (problem.kind === "cancelled") return { ok: false, problem };
  return { ok: true, value: { why: "could not be asked" } };
}

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
