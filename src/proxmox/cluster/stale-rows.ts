import type { Tag } from "../../cache/store.ts";
import { isRow, tags } from "../api/freshness.ts";
import type { GuestId } from "../api/values.ts";
import type { Inventory } from "./inventory.ts";

/**
 * Guests that a change of ours has made another than their rows in memory say. Whoever needs those rows has them asked for again; for
 * whoever needs others the inventory is as good as before.
 */
export class StaleRows {
  /** Row tag → the clock time in ms from which on rows show what the change has made of it. */
  readonly #since = new Map<Tag, number>();

  /** Of the tags that are raised, those of rows count. Answers whether there are any. */
  raise(raised: readonly Tag[], now: number): boolean {
    const rows = raised.filter(isRow);
    for (const tag of rows) this.#since.set(tag, now);
    return rows.length > 0;
  }

  /** A newer inventory has come. */
  adopt({ beganAt }: Inventory): void {
    for (const [tag, since] of this.#since) if (beganAt >= since) this.#since.delete(tag);
  }

  has(guest: GuestId, { beganAt }: Inventory): boolean {
    return (this.#since.get(tags.row(guest)) ?? Number.NEGATIVE_INFINITY) > beganAt;
  }

  /** The time from which on an inventory shows all of them as they are; -∞ without any. */
  from(): number {
    return Math.max(Number.NEGATIVE_INFINITY, ...this.#since.values());
  }
}
