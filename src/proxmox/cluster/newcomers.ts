import { LRUCache } from "lru-cache";
import { isProblem, Problem } from "../../problem.ts";
import { followedBy } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { type GuestId, guestWords } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { doubtMs } from "../tasks/activity.ts";
import type { GuestRow } from "./inventory.ts";
import type { Lookup } from "./lookup.ts";
import { candidate } from "./near-miss.ts";
import type { VmidPool } from "./vmids.ts";

/** A guest that is to be made. */
export interface Newcomer extends GuestId {
  readonly name: string;
  readonly node: string;
}

export interface Wish {
  readonly name: string;
  /** The lowest free one when absent. */
  readonly vmid?: number | undefined;
}

/** One try at making a guest; `sent` is false where only a plan was wanted. */
export type Attempt<T> = (vmid: number) => Promise<{ readonly result: T; readonly sent: boolean }>;

/** What a guest does not have yet when the request that makes it was carried out. */
export interface Rest {
  /** `its start (start_guest)` */
  readonly lacks: readonly string[];
  /** The same call does what is left. */
  readonly repeat?: boolean | undefined;
}

interface Doubt extends Newcomer {
  /** Until then the request may still arrive, in ms. */
  readonly until: number;
}

/** A vmid that somebody took between our question and our request is tried again with the next, this many times. */
const maxTries = 5;

/**
 * Guests that are being made: each name once, each vmid once. Two equal calls make one guest, and so do a call whose answer was
 * lost and its repetition.
 */
export class Newcomers {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #vmids: VmidPool;
  /** Names, in lower case, whose request is being prepared. */
  readonly #underWay = new Set<string>();
  /** Guests that may have been begun, by their names in lower case. */
  readonly #doubts = new LRUCache<string, Doubt>({ max: 100 });

  constructor(verbs: Verbs, lookup: Lookup, vmids: VmidPool) {
    this.#verbs = verbs;
    this.#lookup = lookup;
    this.#vmids = vmids;
  }

  /**
   * Makes one guest of this name. Throws `conflict` where the name or the vmid is taken, `busy` while it can't be told whether
   * an earlier call has begun it, and what `attempt` throws; a vmid lost to somebody else is tried again with the next.
   */
  async make<T>(wish: Wish, call: Call, attempt: Attempt<T>): Promise<T> {
    const name = wish.name.toLowerCase();
    if (this.#underWay.has(name)) throw taken(wish.name, "is being made by another call right now");
    this.#underWay.add(name);
    try {
      await this.assertNew(wish.name, call);
      return await this.#attempts(wish, call, attempt);
    } finally {
      this.#underWay.delete(name);
    }
  }

  /**
   * The answer to the request that makes it was lost: it may be there, or come, or not. Answers what to tell of it; `rest`: what
   * would have followed.
   */
  doubt(guest: Newcomer, error: Problem, rest: Rest = tagAndStart): Problem {
    const { type, vmid, name, node } = guest;
    const until = this.#verbs.clock.now() + doubtMs;
    this.#doubts.set(name.toLowerCase(), { type, vmid, name, node, until });
    this.#vmids.doubt(vmid, until);
    this.#lookup.names.learn(guest, name);
    const who = guestWords(guest, name);
    const message = followedBy(error.message, `It was to make ${who} on ${node}.`);
    return new Problem("outcome_unknown", message, {
      next: afterwards(guest, rest),
      facts: { ...error.facts, vmid, name, type, node },
      cause: error,
    });
  }

  /**
   * Whether anybody has a guest of this name by now, asked past the cache; one whose row has no name yet is asked for it. For whoever
   * has looked before, and has waited since.
   */
  async holder(name: string, call: Call): Promise<GuestRow | undefined> {
    await this.#lookup.liveInventory(call);
    try {
      const found = await this.#lookup.guest(name, "any", call);
      return found.name?.toLowerCase() === name.toLowerCase() ? found.row : undefined;
    } catch (error) {
      if (isProblem(error, "not_found")) return undefined;
      throw error;
    }
  }

  async #attempts<T>(wish: Wish, call: Call, attempt: Attempt<T>): Promise<T> {
    let vmid = await this.#vmids.take(wish.vmid, call);
    for (let tries = 1; ; tries++) {
      try {
        const { result, sent } = await attempt(vmid);
        if (!sent) this.#vmids.free(vmid);
        return result;
      } catch (error) {
        const lost = isProblem(error, "conflict") && /already exists/.test(error.message);
        const again = lost && wish.vmid === undefined && tries < maxTries;
        const next = again ? await this.#vmids.take(undefined, call) : undefined;
        this.#vmids.free(vmid);
        if (next === undefined) throw error;
        vmid = next;
      }
    }
  }

  /** Names need not be unique for PVE, but two guests of one name help nobody, and a repeated call would make the second. */
  async assertNew(name: string, call: Call): Promise<void> {
    const doubt = this.#doubts.get(name.toLowerCase());
    const inventory = await this.#lookup[doubt ? "liveInventory" : "inventory"](call);
    const [row] = this.#lookup.rowsNamed(name, inventory);
    if (row) throw held(name, row);
    const leftMs = (doubt?.until ?? 0) - this.#verbs.clock.now();
    if (doubt && leftMs > 0) throw undecided(doubt, Math.ceil(leftMs / 1000));
    this.#doubts.delete(name.toLowerCase());
  }
}

const tagAndStart: Rest = { lacks: ["its tag", "its start"] };

function afterwards({ type, vmid }: Newcomer, { lacks, repeat }: Rest): string {
  const seconds = doubtMs / 1000;
  if (repeat) return `Repeat this same call after ${seconds} s: it goes on with what is there.`;
  const tool = type === "qemu" ? "get_vm {vm" : "get_container {container";
  const [last = "", ...others] = lacks.toReversed();
  const all = others.length === 0 ? last : `${others.toReversed().join(", ")} and ${last}`;
  const left = last === "" ? "and nothing is missing" : `and lacks only ${all}`;
  return `Look in a few seconds with ${tool}: "${vmid}"}: if it is there, it was made, ${left}. If it is not there after ${seconds} s, repeat the call; until then that is refused.`;
}

function undecided({ name, vmid, type, node }: Doubt, seconds: number): Problem {
  const message = `An earlier call may still make "${name}" (vmid ${vmid}): its answer was lost. Nothing was sent.`;
  return new Problem("busy", message, {
    next: `Look for it with list_guests {name: "${name}"}; if it is not there in ${seconds} s, repeat this call.`,
    facts: { name, vmid, type, node, seconds },
  });
}

/** Another guest has that name. */
export function held(name: string, row: GuestRow): Problem {
  return taken(name, `is ${guestWords(row)} on ${row.node} already`, candidate({ row, name }));
}

function taken(name: string, how: string, facts: Problem["facts"] = {}): Problem {
  return new Problem("conflict", `"${name}" ${how}. Nothing was sent.`, {
    next: "Choose another name; or if an earlier call of yours made it, go on with that guest.",
    facts,
  });
}
