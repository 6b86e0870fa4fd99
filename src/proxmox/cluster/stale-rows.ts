import type { Tag } from "../../cache/store.ts";
import { isRow, tags } from "../api/freshness.ts";
import type { GuestId } from "../api/values.ts";
import type { Inventory } from "./inventory.ts";

/** A row has been raised: as the how manyeth since the start, and when, in ms. */
interface Raised {
  readonly order: number;
  readonly at: number;
}

/**
 * Guests that a change of ours has made another than their rows in memory say. Whoever needs those rows has them asked for again; for
 * whoever needs others the inventory is as good as before. Counted and not timed, as the cache's own tags are.
 */
export class StaleRows {
  /** How many rows have been raised so far: an inventory shows what came before it was asked for. */
  order = 0;
  readonly #raised = new Map<Tag, Raised>();

  /** Of the tags that are raised, those of rows count. Answers whether there are any. */
  raise(raised: readonly Tag[], now: number): boolean {
    const rows = raised.filter(isRow);
    if (rows.length > 0) this.order++;
    for (const tag of rows) this.#raised.set(tag, { order: this.order, at: now });
    return rows.length > 0;
  }

  /** A newer inventory has come. */
  adopt(inventory: Inventory): void {
    for (const [tag, { order }] of this.#raised)
      if (order <= inventory.order) this.#raised.delete(tag);
  }

  /** Whether this inventory was asked for before the guest's row was raised. */
  has(guest: GuestId, inventory: Inventory): boolean {
    return (this.#raised.get(tags.row(guest))?.order ?? 0) > inventory.order;
  }

  /** The time after which one must have been asked for that shows all as they are; -∞ where this one does. */
  after(inventory: Inventory): number {
    let latest = Number.NEGATIVE_INFINITY;
    for (const { order, at } of this.#raised.values())
      if (order > inventory.order) latest = Math.max(latest, at);
    return latest;
  }
}
