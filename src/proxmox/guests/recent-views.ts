import { LRUCache } from "lru-cache";
import type { Part } from "../../cache/reading.ts";
import type { Call } from "../api/call.ts";
import type { Composed, Verbs } from "../api/verbs.ts";

/** A view, and what was known beside its parts when it was laid together (`Lookup.version`). */
export interface Kept<View> {
  readonly view: View;
  readonly version: number;
}

interface Recent<View> extends Composed, Kept<View> {}

/**
 * Views as they were laid together last. One whose parts could all be answered from memory again is served as it is: laying it
 * together costs more than everything else that such a call does.
 */
export class RecentViews<View> {
  readonly #verbs: Verbs;
  /** Few, as each keeps a row and a configuration beyond the bounds of the cache. */
  readonly #views = new LRUCache<string, Recent<View>>({ max: 500 });

  constructor(verbs: Verbs) {
    this.#verbs = verbs;
  }

  keep(key: string, kept: Kept<View>, composed: readonly Part[]): void {
    // What stands for no read holds as long as the reads beside it, which carry its tags.
    const parts = composed.filter(({ until }) => until !== Number.POSITIVE_INFINITY);
    this.#views.set(key, {
      ...kept,
      parts: parts.map((part) => ({ ...part, source: "cache" })),
      until: Math.min(...parts.map((part) => part.until)),
      all: {
        tags: parts.flatMap((part) => part.tags),
        epochs: parts.flatMap((part) => part.epochs),
      },
    });
  }

  /** The view, where it would be made of the same parts and `still` finds nothing else changed. */
  async again(
    key: string,
    call: Call,
    still: (kept: Kept<View>) => boolean,
  ): Promise<View | undefined> {
    const recent = this.#views.get(key);
    if (!recent) return undefined;
    return (await this.#verbs.again(call, recent, () => still(recent))) ? recent.view : undefined;
  }
}
