import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { GuestId } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { changedSince, type GuestRow, type Inventory, inventoryQuestion } from "./inventory.ts";
import type { Names } from "./names.ts";
import type { Overlay } from "./overlay.ts";
import { Silence } from "./silence.ts";
import { StaleRows } from "./stale-rows.ts";
import type { Sweep } from "./sweep.ts";

/** Rows younger than this are not asked again because they contradict what we have seen: many guests that do are decided together. */
const decideMs = 5_000;

/** The one inventory that serves everyone: when it is asked for again, and what a newer one tells. PVE: GET /cluster/resources */
export class SharedInventory {
  readonly silence = new Silence();
  readonly #verbs: Verbs;
  readonly #names: Names;
  readonly #overlay: Overlay;
  readonly #stale = new StaleRows();
  #sweep: Sweep | undefined;
  #last: Inventory | undefined;

  constructor(verbs: Verbs, names: Names, overlay: Overlay) {
    this.#verbs = verbs;
    this.#names = names;
    this.#overlay = overlay;
    verbs.cache.onInvalidate.push((raised) => {
      if (this.#stale.raise(raised, verbs.clock.now())) overlay.version++;
    });
  }

  /** Refreshes go by sweeps from now on, where there is anything that a sweep can vouch for. */
  refreshBy(sweep: Sweep): void {
    this.#sweep = sweep;
  }

  /** The last one seen, whatever its age. */
  get last(): Inventory | undefined {
    return this.#last;
  }

  /** As fresh as the call asks, and every row of it from after what we have changed. */
  async current(call: Call): Promise<Inventory> {
    let inventory = await this.any(call, this.#last && this.#rightFrom(this.#last));
    // What is accepted, or ends, while it is on its way makes it old as well.
    for (;;) {
      const from = this.#rightFrom(inventory);
      if (from <= inventory.beganAt) return inventory;
      inventory = await this.any(call, from);
    }
  }

  /** As fresh as the call asks, and from `from` (clock time in ms) or later; rows that `isOld` tells of may be from before a change of ours. */
  async any(call: Call, from = Number.NEGATIVE_INFINITY): Promise<Inventory> {
    const due = call.maxAgeMs === undefined && !(await this.#verbs.isFresh(inventoryQuestion));
    const swept = due && this.#sweep?.isWorthwhile && (await this.#sweep.run(call));
    const reading = swept ? call.refreshed() : this.#deciding(call, from);
    return this.#adopt(await this.#verbs.observe(reading, inventoryQuestion));
  }

  /** As it is now. */
  async live(call: Call): Promise<Inventory> {
    return this.#adopt(await this.#verbs.live(call, inventoryQuestion));
  }

  /** Whether what this inventory says of these guests may be from before a change of ours; that it has none at all, too. */
  isOld(inventory: Inventory, guests: () => readonly GuestId[]): boolean {
    if (this.#rightFrom(inventory) <= inventory.beganAt) return false;
    const meant = guests();
    return meant.length === 0 || meant.some((guest) => this.#stale.has(guest, inventory));
  }

  /** The time from which on one shows what our changes have made of all guests; not after its own beginning where it does. */
  #rightFrom(inventory: Inventory): number {
    return Math.max(this.#stale.from(), this.#overlay.overtakenFrom(inventory));
  }

  /** Rows that contradict what we know are asked again soon after they must be right; their own age on top would be too long. */
  #deciding(call: Call, from: number): Call {
    const [now, last] = [this.#verbs.clock.now(), this.#last];
    if (!last) return call;
    const wanted = [from];
    if (call.maxAgeMs === undefined) {
      wanted.push(this.#overlay.decidedFrom(last, now, "made"));
      if (now - last.beganAt >= decideMs) {
        wanted.push(this.#names.decidedFrom(last, now));
        wanted.push(this.#overlay.decidedFrom(last, now, "seen"));
      }
    }
    const latest = Math.max(...wanted);
    return latest > last.beganAt ? call.within(now - latest) : call;
  }

  /** A new one is compared with the one before: who vanished or was replaced leaves nothing behind. */
  async #adopt(inventory: Inventory): Promise<Inventory> {
    const before = this.#last;
    // Who has waited for an answer that a newer one has overtaken is told the newer one: the older may show who is gone.
    if (before && before.beganAt > inventory.beganAt) return before;
    if (before?.beganAt === inventory.beganAt) return inventory;
    this.#last = inventory;
    const changed = before ? changedSince(before, inventory) : [];
    for (const row of changed) this.#overlay.replaced(row, inventory.byVmid.get(row.vmid));
    this.#overlay.adopt(inventory);
    this.#stale.adopt(inventory);
    this.silence.hear(inventory);
    for (const row of changed) {
      const now = inventory.byVmid.get(row.vmid);
      if (now?.type === row.type) this.#names.turned(row, now, inventory.beganAt);
      else this.#names.bury(row, inventory.beganAt);
    }
    this.#names.adopt(inventory);
    if (!before) return inventory;
    for (const row of inventory.nameless) this.#keepName(row, before);
    await this.#verbs.cache.invalidate(changed.map((row) => tags.guest(row)));
    return inventory;
  }

  /** A row that has lost its name (its node went silent) goes on under the name it had; who reads it will see whether that holds. */
  #keepName(row: GuestRow, before: Inventory): void {
    const older = before.byVmid.get(row.vmid);
    const name = older?.type === row.type ? this.#names.nameOf(older, before) : undefined;
    if (name !== undefined) this.#names.learn(row, name, before.beganAt);
  }
}
