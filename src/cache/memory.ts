import { LRUCache } from "lru-cache";
import type { CacheStore, Entry, Tag } from "./store.ts";

export interface MemoryStoreOptions {
  /** Bound on what the entries take in memory by estimate, in bytes; default 32 MiB. */
  readonly maxBytes?: number;
  /** Bound on the number of entries; default 20,000. */
  readonly maxEntries?: number;
  /** Bound on the number of counters kept; default 50,000. */
  readonly maxTags?: number;
  /** Called with the key of an entry that had to make room. */
  readonly onEvict?: (key: string) => void;
}

/** The store of one process: entries in an LRU bounded by bytes and number, counters in a map. */
export class MemoryStore implements CacheStore {
  readonly #entries: LRUCache<string, Entry>;
  readonly #counters = new Map<Tag, number>();
  readonly #maxTags: number;
  /** Counters come from one rising sequence, so a counter that was dropped can never come back with an old value. */
  #sequence = 0;
  /** What a tag without a counter reads. */
  #floor = 0;

  constructor(options: MemoryStoreOptions = {}) {
    this.#maxTags = options.maxTags ?? 50_000;
    this.#entries = new LRUCache<string, Entry>({
      max: options.maxEntries ?? 20_000,
      maxSize: options.maxBytes ?? 32 * 1024 * 1024,
      sizeCalculation: (entry) => Math.max(1, entry.bytes),
      dispose: (_entry, key, reason) => {
        if (reason === "evict") options.onEvict?.(key);
      },
    });
  }

  async get(key: string): Promise<Entry | undefined> {
    return this.#entries.get(key);
  }

  async set(key: string, entry: Entry): Promise<void> {
    this.#entries.set(key, entry);
  }

  async epochs(tags: readonly Tag[]): Promise<readonly number[]> {
    return tags.map((tag) => this.#counters.get(tag) ?? this.#floor);
  }

  async bump(tags: readonly Tag[]): Promise<void> {
    for (const tag of tags) {
      this.#counters.delete(tag); // re-inserted last, so that the map's order is the order of use
      this.#counters.set(tag, ++this.#sequence);
    }
    if (this.#counters.size > this.#maxTags) this.#forgetOldest();
  }

  size(): { entries: number; bytes: number } {
    return { entries: this.#entries.size, bytes: this.#entries.calculatedSize };
  }

  /** Forgetting counters raises the floor, which invalidates every entry whose tags have no counter: safe, and rare. */
  #forgetOldest(): void {
    const surplus = this.#counters.size - Math.floor(this.#maxTags / 2);
    let dropped = 0;
    for (const tag of this.#counters.keys()) {
      if (dropped++ >= surplus) break;
      this.#counters.delete(tag);
    }
    this.#floor = ++this.#sequence;
  }
}
