import { Problem } from "../problem.ts";
import type { Call } from "./call.ts";
import type { GuestConfig } from "./guest-config.ts";
import { type GuestStatus, statusQuestion } from "./guest-status.ts";
import { isMissing } from "./guests.ts";
import type { GuestRow } from "./inventory.ts";
import {
  candidate,
  configQuestion,
  type Found,
  type GuestKind,
  isVmid,
  type Lookup,
  learnName,
} from "./lookup.ts";
import type { Told } from "./names.ts";
import { type GuestId, guestWords } from "./values.ts";
import type { Verbs } from "./verbs.ts";

/** A guest that was read past the cache a moment ago, and is still the one that was meant. */
export interface Identified extends GuestId {
  readonly node: string;
  readonly name: string | undefined;
  readonly row: GuestRow;
  readonly config: GuestConfig;
  /** Live state, where it was asked for. */
  readonly status: GuestStatus | undefined;
}

/** Makes sure, before a change, that the guest is the one that the agent means: no change acts on cached knowledge. */
export class Identity {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;

  constructor(verbs: Verbs, lookup: Lookup) {
    this.#verbs = verbs;
    this.#lookup = lookup;
  }

  /**
   * The guest that the reference means, as lookups know it. Throws what a lookup throws, and `identity_changed` when a vmid that
   * an answer of ours has shown as a guest of one kind has been given to one of the other.
   */
  async find(reference: string, kind: GuestKind, call: Call): Promise<Found> {
    const told = this.#told(reference);
    if (!told) return this.#lookup.guest(reference, kind, call);
    const found = await this.#lookup.guest(reference, "any", call);
    if (isVmid(reference, found.row) && told.type !== found.row.type) {
      throw this.#changed({ row: { ...found.row, type: told.type }, name: told.name }, found);
    }
    return this.#lookup.guest(reference, kind, call);
  }

  /**
   * Reads configuration (and, with `state`, the live state) past the cache: one or two requests. A guest that has moved is
   * followed once. Throws `identity_changed` when type, vmid and name are not what the lookup, or an earlier answer of ours,
   * said; `not_found` when it is gone.
   */
  async check(
    found: Found,
    reference: string,
    call: Call,
    { state }: { readonly state: boolean },
  ): Promise<Identified> {
    const { row, config, status } = await this.#read(found, reference, state, call);
    learnName(this.#lookup.names, row, config);
    const expected = this.#told(reference)?.name ?? found.name;
    if (expected !== undefined && config.name !== undefined && expected !== config.name) {
      throw this.#changed({ ...found, name: expected }, { row, name: config.name });
    }
    const name = config.name ?? found.name;
    return { type: row.type, vmid: row.vmid, node: row.node, name, row, config, status };
  }

  /** By name the agent means whoever bears it; by vmid it means whom it was shown. */
  #told(reference: string): Told | undefined {
    return /^[0-9]+$/.test(reference) ? this.#lookup.names.told(Number(reference)) : undefined;
  }

  async #read(found: Found, reference: string, state: boolean, call: Call) {
    try {
      return await this.#readAt(found.row, state, call);
    } catch (error) {
      if (!isMissing(error)) throw error;
      const inventory = await this.#lookup.liveInventory(call);
      const row = inventory.byVmid.get(found.row.vmid);
      if (row?.type === found.row.type && row.node !== found.row.node) {
        return this.#readAt(row, state, call);
      }
      const successors = row
        ? [this.#lookup.found(row, inventory)]
        : this.#lookup.names
            .find(reference, inventory)
            .map((same) => this.#lookup.found(same, inventory));
      if (successors[0]) throw this.#changed(found, successors[0]);
      throw gone(found, error);
    }
  }

  async #readAt(row: GuestRow, state: boolean, call: Call) {
    const [config, status] = await Promise.all([
      this.#verbs.live(call, configQuestion(row)),
      state ? this.#verbs.live(call, statusQuestion(row)) : Promise.resolve(undefined),
    ]);
    return { row, config, status };
  }

  /** What is there now is shown, so from now on the vmid means that. */
  #changed(expected: Found, now: Found): Problem {
    this.#lookup.names.tell(now.row, now.name);
    const was = guestWords(expected.row, expected.name);
    const is = `${guestWords(now.row, now.name)} on ${now.row.node}`;
    return new Problem(
      "identity_changed",
      `${was} is not there any more; now there is ${is}. Nothing was sent.`,
      {
        next: "If that is the guest you mean, repeat the call with its name or vmid; else look again with list_guests.",
        facts: { expected: candidate(expected), found: candidate(now) },
      },
    );
  }
}

function gone(found: Found, cause: unknown): Problem {
  const subject = guestWords(found.row, found.name);
  return new Problem(
    "not_found",
    `${subject} is gone: somebody else has deleted it. Nothing was sent.`,
    {
      next: "Look for what is there now with list_guests.",
      facts: candidate(found),
      cause,
    },
  );
}
