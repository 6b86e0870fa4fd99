import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { GuestConfig } from "../api/guest-config.ts";
import { type GuestId, type GuestKind, guestWords } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { GuestRow, Inventory } from "../cluster/inventory.ts";
import { configQuestion, isVmid, type Lookup } from "../cluster/lookup.ts";
import { type Found, learnName, type Told } from "../cluster/names.ts";
import { candidate } from "../cluster/near-miss.ts";
import { type GuestStatus, statusQuestion } from "./guest-status.ts";
import { isMissing } from "./guests.ts";

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
   * The guest that the reference means, as lookups know it. Throws what a lookup throws, and `identity_changed` when an answer of
   * ours has shown another guest under this vmid or name: whoever saw it means that one, not its successor.
   */
  async find(reference: string, kind: GuestKind, call: Call): Promise<Found> {
    const told = this.#told(reference);
    if (told.length === 0) return this.#lookup.guest(reference, kind, call);
    let found: Found;
    try {
      found = await this.#lookup.guest(reference, kind, call);
    } catch (error) {
      if (!isProblem(error, "not_found", "invalid_input")) throw error;
      throw (await this.#succeeded(told, call)) ?? error;
    }
    const same = told.find(({ vmid }) => vmid === found.row.vmid);
    if (same?.type === found.row.type) return found;
    const now = await this.#named(found.row, await this.#lookup.inventory(call), call);
    throw this.#changed(asFound(same ?? told[0], found), now);
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
    const byVmid = isVmid(reference, row) ? this.#lookup.names.told(row.vmid) : undefined;
    const expected = byVmid?.name ?? found.name;
    if (expected !== undefined && config.name !== undefined && expected !== config.name) {
      throw this.#changed({ ...found, name: expected }, { row, name: config.name });
    }
    const name = config.name ?? found.name;
    // Whatever becomes of the change, its answer names the guest.
    this.#lookup.names.tell(row, name);
    return { type: row.type, vmid: row.vmid, node: row.node, name, row, config, status };
  }

  /** The guests that our answers have shown under this vmid or this name. */
  #told(reference: string): readonly Told[] {
    const { names } = this.#lookup;
    const [, vmid] = /^(?:(?:qemu|lxc)\/)?([1-9][0-9]{0,8})$/.exec(reference) ?? [];
    const byVmid = vmid === undefined ? undefined : names.told(Number(vmid));
    return [...(byVmid ? [byVmid] : []), ...names.toldAs(reference)];
  }

  /** Where a guest that we have shown is not found as such: who has its vmid or its name now, if anybody. */
  async #succeeded(told: readonly Told[], call: Call): Promise<Problem | undefined> {
    const inventory = await this.#lookup.inventory(call);
    for (const old of told) {
      const row =
        this.#lookup.rowOf(old.vmid, inventory) ?? this.#lookup.rowsNamed(old.name, inventory)[0];
      if (!row) continue;
      const now = await this.#named(row, inventory, call);
      const same = row.type === old.type && row.vmid === old.vmid && now.name === old.name;
      if (!same) return this.#changed(asFound(old, now), now);
    }
    return undefined;
  }

  /** The row with its true name: that of a vmid that changed hands may still be the dead guest's. */
  async #named(row: GuestRow, inventory: Inventory, call: Call): Promise<Found> {
    try {
      const config = await this.#verbs.live(call, configQuestion(row));
      learnName(this.#lookup.names, row, config);
    } catch (error) {
      if (!isProblem(error) || error.kind === "cancelled") throw error;
    }
    return this.#lookup.found(row, inventory);
  }

  async #read(found: Found, reference: string, state: boolean, call: Call) {
    try {
      return await this.#readAt(found.row, state, call);
    } catch (error) {
      if (!isMissing(error)) throw error;
      const inventory = await this.#lookup.liveInventory(call);
      const row = this.#lookup.rowOf(found.row.vmid, inventory);
      if (row?.type === found.row.type && row.node !== found.row.node) {
        return this.#readAt(row, state, call);
      }
      const successor = row ?? this.#lookup.rowsNamed(found.name ?? reference, inventory)[0];
      if (successor) {
        throw this.#changed(found, await this.#named(successor, inventory, call));
      }
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

/** What we have shown, in the shape of what a lookup finds; the other fields of the row are not looked at. */
function asFound(told: Told | undefined, other: Found): Found {
  return told ? { row: { ...other.row, ...told }, name: told.name } : other;
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
