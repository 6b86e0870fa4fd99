import { isProblem, Problem } from "../problem.ts";
import { type Flight, waitFor } from "./flight.ts";
import {
  type CacheCounters,
  type CacheEvent,
  cacheChannel,
  cancelled,
  type Fetched,
  type Freshness,
  noneCounted,
  type Part,
  type Reader,
} from "./reading.ts";
import { type CacheStore, type Entry, equal, type Tag } from "./store.ts";

/** How old an answer may be, and what its age is counted from: its fetch only, or also a sweep that vouched for it. */
interface Limit {
  readonly allowedMs: number;
  readonly since: "fetch" | "trust" | "sweep";
}

/** A read whose answer keeps being overtaken by changes is given up after this many tries. */
const maxTries = 10;

/**
 * Answers from memory what was asked before. Three rules make it honest:
 * an entry remembers its tags' counters as they were when its fetch *began*; a reader joins only a flight that carries the
 * counters of this moment; and what a fetch brings is served, to whoever waits, only if no counter was raised meanwhile.
 */
export class ReadCache {
  /** Told of every tag that is raised. */
  readonly onInvalidate: ((tags: readonly Tag[]) => void)[] = [];
  readonly counters: CacheCounters = noneCounted();
  readonly #store: CacheStore;
  readonly #now: () => number;
  #sweep: ((reader: Reader) => Promise<unknown>) | undefined;
  /** The beginning of the last complete sweep: what began before it and is still valid was true then. */
  #vouchedAt = Number.NEGATIVE_INFINITY;
  readonly #flights = new Map<string, Flight>();
  #fills = Math.floor(Math.random() * 2 ** 47); // other processes may fill the same store

  constructor(store: CacheStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * The value under `key`: from memory while it is fresh enough for the reader, else by one fetch for all who wait.
   * Rejects with what the fetch rejects with (errors are never kept), or `cancelled` when the reader gives up;
   * the fetch is aborted only when nobody waits for it any more. `busy` when changes overtake the read ten times in a row.
   */
  async read<T>(
    key: string,
    freshness: Freshness,
    reader: Reader,
    fetch: (signal: AbortSignal) => Promise<Fetched<T>>,
  ): Promise<T> {
    if (reader.maxAgeMs !== undefined) {
      const allowedMs = Math.min(reader.maxAgeMs, freshness.keptMs);
      return this.#attempts(key, freshness, reader, fetch, { allowedMs, since: "fetch" });
    }
    const allowedMs = freshness.trustedMs;
    if (await this.#isDoubtful(key, freshness)) {
      await this.#sweepFor(reader);
      return this.#attempts(key, freshness, reader, fetch, { allowedMs, since: "sweep" });
    }
    return this.#attempts(key, freshness, reader, fetch, { allowedMs, since: "trust" });
  }

  /** The value as it is now: neither memory nor a flight that began before is used; the answer is kept for others. */
  async live<T>(
    key: string,
    freshness: Freshness,
    reader: Reader,
    fetch: (signal: AbortSignal) => Promise<Fetched<T>>,
  ): Promise<T> {
    return this.#attempts(key, freshness, reader, fetch, { allowedMs: -1, since: "fetch" });
  }

  /** What asks whether anything happened; it invalidates what was touched and then calls `vouch`. */
  sweepWith(sweep: (reader: Reader) => Promise<unknown>): void {
    this.#sweep = sweep;
  }

  /** A sweep that began at this time is complete: everything from before that it did not invalidate was true then. */
  vouch(beganAt: number): void {
    this.#vouchedAt = Math.max(this.#vouchedAt, beganAt);
  }

  /** Whether memory could answer this without a request. */
  async isFresh(key: string, freshness: Freshness): Promise<boolean> {
    const entry = await this.#valid(key, freshness);
    return entry !== undefined && this.#age(entry, freshness) <= freshness.trustedMs;
  }

  /** What carries one of these tags is invalid from now on, also what is being fetched. */
  async invalidate(tags: readonly Tag[]): Promise<void> {
    if (tags.length === 0) return;
    await this.#store.bump(tags);
    for (const tell of this.onInvalidate) tell(tags);
    this.counters.invalidated += tags.length;
    this.#publish({ type: "invalidate", tags });
  }

  /** Stands for what is known without a read, as of now: it holds until one of these tags is raised. */
  async present(tags: readonly Tag[]): Promise<Part> {
    const now = this.#now();
    return {
      beganAt: now,
      trueAt: now,
      until: Number.POSITIVE_INFINITY,
      source: "cache",
      tags,
      epochs: await this.#store.epochs(tags),
    };
  }

  /** Whether all of these answers still hold: what was composed of them may be served. */
  async holds(parts: readonly Pick<Part, "tags" | "epochs">[]): Promise<boolean> {
    for (const part of parts) {
      if (!equal(await this.#store.epochs(part.tags), part.epochs)) return false;
    }
    return true;
  }

  /** Whether memory still answers with these very answers: a live read for somebody may have replaced one. */
  async keeps(parts: readonly Part[]): Promise<boolean> {
    for (const { kept } of parts) {
      if (kept && (await this.#store.get(kept.key))?.fill !== kept.fill) return false;
    }
    return true;
  }

  /** What was composed of these answers, which still hold, is served once more. */
  served(parts: readonly Part[]): void {
    for (const { kept } of parts)
      this.#count("hits", { type: "hit", ...(kept && { key: kept.key }) });
  }

  /** Called by the store's owner when an entry had to make room. */
  evicted(key: string): void {
    this.counters.evicted++;
    this.#publish({ type: "evict", key });
  }

  size(): { readonly entries: number; readonly bytes: number } {
    return this.#store.size();
  }

  /** Too old to be trusted as it is, young enough to be kept if nothing happened to it. */
  async #isDoubtful(key: string, freshness: Freshness): Promise<boolean> {
    if (!this.#sweep || freshness.swept !== true) return false;
    const entry = await this.#valid(key, freshness);
    if (!entry || this.#now() - entry.beganAt > freshness.keptMs) return false;
    return this.#age(entry, freshness) > freshness.trustedMs;
  }

  /** A sweep that fails vouches for nothing, and the read asks for itself: then it is told what is wrong. */
  async #sweepFor(reader: Reader): Promise<void> {
    try {
      await this.#sweep?.(reader);
    } catch (error) {
      if (!isProblem(error) || error.kind === "cancelled") throw error;
    }
  }

  async #valid(key: string, { tags }: Freshness): Promise<Entry | undefined> {
    const entry = await this.#store.get(key);
    if (!entry) return undefined;
    return equal(await this.#store.epochs(tags), entry.epochs) ? entry : undefined;
  }

  /** How long ago it was known to be true: since its fetch, or since a sweep that began after it. */
  #age(entry: Entry, { swept, keptMs }: Freshness): number {
    const now = this.#now();
    const vouched = swept === true && now - entry.beganAt <= keptMs;
    return now - (vouched ? Math.max(entry.beganAt, this.#vouchedAt) : entry.beganAt);
  }

  async #attempts<T>(
    key: string,
    freshness: Freshness,
    reader: Reader,
    fetch: (signal: AbortSignal) => Promise<Fetched<T>>,
    limit: Limit,
  ): Promise<T> {
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const answer = await this.#once(key, freshness, reader, fetch, limit);
      if (answer) return answer.value as T; // the one generic read: the key fixes the type
    }
    throw new Problem("busy", `What was read kept changing (${key}).`, {
      next: "Try again in a few seconds.",
    });
  }

  /** One try; undefined when a change overtook it. */
  async #once<T>(
    key: string,
    freshness: Freshness,
    reader: Reader,
    fetch: (signal: AbortSignal) => Promise<Fetched<T>>,
    limit: Limit,
  ): Promise<{ readonly value: unknown } | undefined> {
    const { tags } = freshness;
    const epochs = await this.#store.epochs(tags);
    // 0 is live: what was read in this very millisecond may be older.
    const entry = limit.allowedMs <= 0 ? undefined : await this.#store.get(key);
    if (entry && equal(entry.epochs, epochs) && this.#suffices(entry, freshness, limit)) {
      // By its own age it would have been asked again: a sweep, of this call or an earlier one, has saved the request.
      const saved = limit.since !== "fetch" && this.#now() - entry.beganAt > freshness.trustedMs;
      this.#count(saved ? "revalidated" : "hits", { type: saved ? "revalidate" : "hit", key });
      const source = limit.since === "sweep" ? "swept" : "cache";
      const trueAt = this.#now() - this.#age(entry, freshness);
      const until = Math.min(trueAt + freshness.trustedMs, entry.beganAt + freshness.keptMs);
      const kept = { key, fill: entry.fill };
      reader.note({ kept, beganAt: entry.beganAt, trueAt, until, source, tags, epochs });
      return entry;
    }
    // Who has gone asks nobody any more.
    if (reader.signal.aborted) throw cancelled(reader.signal);
    const flight = this.#board(key, tags, epochs, fetch, limit.allowedMs);
    const value = await waitFor(flight, reader, () => this.#abandon(key, flight));
    if (!equal(await this.#store.epochs(tags), epochs)) return undefined;
    const { beganAt, fill } = flight;
    const until = beganAt + freshness.trustedMs;
    const kept = { key, fill };
    reader.note({ kept, beganAt, trueAt: beganAt, until, source: "live", tags, epochs });
    return { value };
  }

  #suffices(entry: Entry, freshness: Freshness, { allowedMs, since }: Limit): boolean {
    const age = since === "fetch" ? this.#now() - entry.beganAt : this.#age(entry, freshness);
    return age <= allowedMs;
  }

  /** The flight to wait for: the one under way if it began late enough for this reader, else a new one. */
  #board<T>(
    key: string,
    tags: readonly Tag[],
    epochs: readonly number[],
    fetch: (signal: AbortSignal) => Promise<Fetched<T>>,
    allowedMs: number,
  ): Flight {
    const current = this.#flights.get(key);
    if (current && equal(current.epochs, epochs) && this.#now() - current.beganAt <= allowedMs) {
      this.#count("joined", { type: "join", key });
      return current;
    }
    this.#count("misses", { type: "miss", key });
    const controller = new AbortController();
    const beganAt = this.#now();
    const fill = ++this.#fills;
    const promise = fetch(controller.signal).then(
      async (fetched) => {
        // The newest flight of a key is the one on record: an older one that lands later must not replace what it brought.
        if (this.#flights.get(key) === flight) {
          // Field by field: entries spread from what was fetched had each a hidden class of its own in V8, 300 bytes.
          const { value, bytes } = fetched;
          await this.#keep(key, { value, bytes, fill, beganAt, tags, epochs });
        }
        return fetched.value;
      },
      (error: unknown) => {
        this.#count("failed", { type: "failed", key });
        throw error;
      },
    );
    const flight: Flight = { beganAt, fill, epochs, promise, controller, waiters: 0 };
    this.#flights.set(key, flight);
    const land = () => this.#land(key, flight);
    promise.then(land, land);
    return flight;
  }

  async #keep(key: string, entry: Entry): Promise<void> {
    if (!equal(await this.#store.epochs(entry.tags), entry.epochs)) {
      this.#count("lateFillsDropped", { type: "late", key });
      return;
    }
    await this.#store.set(key, entry);
  }

  /** Nobody waits any more: whoever comes next must not join a request that is being aborted. */
  #abandon(key: string, flight: Flight): void {
    this.#land(key, flight);
    flight.controller.abort();
  }

  #land(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }

  #count(counter: keyof CacheCounters, event: CacheEvent): void {
    this.counters[counter]++;
    this.#publish(event);
  }

  #publish = (event: CacheEvent) => cacheChannel.hasSubscribers && cacheChannel.publish(event);
}
