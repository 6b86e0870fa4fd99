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
/** One that changes of ours keep overtaking is told after so many tries: it is from after the call. */
const maxTries = 3;

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

  /**
   * As fresh as the call asks, and from after what we have changed: all of it, or what it says of the guests that `meant` finds in it,
   * where it finds any.
   */
  async current(
    call: Call,
    meant?: (inventory: Inventory) => readonly GuestId[],
  ): Promise<Inventory> {
    const isOld = (inventory: Inventory) => this.#isOld(inventory, meant);
    const last = this.#last;
    let inventory = await this.any(call, last && isOld(last) ? this.#rightAfter(last) : undefined);
    // What is accepted, or ends, while it is on its way makes it old as well.
    for (let tries = 1; tries < maxTries && isOld(inventory); tries++)
      inventory = await this.any(call, this.#rightAfter(inventory));
    return inventory;
  }

  /** As fresh as the call asks, and asked for after `after` (clock time in ms); rows may be from before a change of ours. */
  async any(call: Call, after = Number.NEGATIVE_INFINITY): Promise<Inventory> {
    const question = inventoryQuestion(this.#stale.order);
    const due = call.maxAgeMs === undefined && !(await this.#verbs.isFresh(question));
    const swept = due && this.#sweep?.isWorthwhile && (await this.#sweep.run(call));
    const reading = swept ? call.refreshed() : this.#deciding(call, after);
    return this.#adopt(await this.#verbs.observe(reading, question));
  }

  /** As it is now. */
  async live(call: Call): Promise<Inventory> {
    return this.#adopt(await this.#verbs.live(call, inventoryQuestion(this.#stale.order)));
  }

  #isOld(inventory: Inventory, meant: (inventory: Inventory) => readonly GuestId[] = () => []) {
    if (this.#rightAfter(inventory) === Number.NEGATIVE_INFINITY) return false;
    const guests = meant(inventory);
    return guests.length === 0 || guests.some((guest) => this.#stale.has(guest, inventory));
  }

  /** The time after which one must have been asked for that shows what our changes have made of all guests; -∞ where this one does. */
  #rightAfter(inventory: Inventory): number {
    return Math.max(this.#stale.after(inventory), this.#overlay.overtakenFrom(inventory) - 1);
  }

  /** Rows that contradict what we know are asked again soon after they must be right; their own age on top would be too long. */
  #deciding(call: Call, after: number): Call {
    const [now, last] = [this.#verbs.clock.now(), this.#last];
    if (!last) return call;
    const wanted = [after + 1];
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
