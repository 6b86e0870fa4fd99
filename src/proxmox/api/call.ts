import { setMaxListeners } from "node:events";
import type { Part, Reader } from "../../cache/reading.ts";

/** Progress of long work: `done` is a fraction 0..1 where it is known. */
export interface Progress {
  readonly done?: number;
  readonly message: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Greatest acceptable age of what is read, in ms; 0 is live. */
  readonly maxAgeMs?: number | undefined;
  readonly progress?: ((progress: Progress) => void) | undefined;
}

/** How old an answer is and what it cost. */
export interface CallSummary {
  /** ISO time of the oldest part. */
  readonly observedAt?: string;
  readonly ageMs?: number;
  /** Age since a sweep last found that nothing had happened to any part; absent where that is no younger than `ageMs`. */
  readonly checkedAgeMs?: number;
  /**
   * `live`: something was fetched for this call, be it by a sweep where nothing else is told; `revalidated`: a sweep said that
   * nothing happened to what is told from memory; else from memory.
   */
  readonly source?: "live" | "revalidated" | "cache";
  /** Requests that this call started. */
  readonly apiCalls: number;
}

/** One call of an agent: how it can be given up, what freshness it asks for, and the account of what it was answered with. */
export class Call implements Reader {
  readonly signal: AbortSignal;
  readonly maxAgeMs: number | undefined;
  readonly progress: ((progress: Progress) => void) | undefined;
  apiCalls = 0;
  parts: Part[] = [];

  constructor(options: CallOptions = {}) {
    this.signal = options.signal ?? new AbortController().signal;
    // One call asks every node of a cluster at once; Node would take more than ten listeners for a leak and say so on stderr.
    setMaxListeners(0, this.signal);
    this.maxAgeMs = options.maxAgeMs;
    this.progress = options.progress;
  }

  note(part: Part): void {
    this.parts.push(part);
  }

  /** A request on behalf of this call has left. */
  sent(): void {
    this.apiCalls++;
  }

  /** Reads in its name once a sweep has run for it: what memory has of that now was fetched for this call. */
  refreshed(): Call {
    const { signal, maxAgeMs, progress } = this;
    const reading = new Call({ signal, maxAgeMs, progress });
    reading.sent = () => this.sent();
    reading.note = (part) =>
      this.note(part.source === "cache" ? { ...part, source: "refreshed" } : part);
    return reading;
  }

  /** Reads in its name, and on its account, until this signal aborts. */
  until(aborted: AbortSignal): Call {
    const { maxAgeMs, progress } = this;
    return this.#for({ signal: AbortSignal.any([this.signal, aborted]), maxAgeMs, progress });
  }

  /** Reads in its name that take nothing older than this from memory, in ms. */
  within(ageMs: number): Call {
    const { signal, progress } = this;
    const maxAgeMs = Math.min(ageMs, this.maxAgeMs ?? Number.POSITIVE_INFINITY);
    return this.#for({ signal, maxAgeMs, progress });
  }

  #for(options: CallOptions): Call {
    const reading = new Call(options);
    reading.sent = () => this.sent();
    reading.note = (part) => this.note(part);
    return reading;
  }

  summary(now: number): CallSummary {
    if (this.parts.length === 0) return { apiCalls: this.apiCalls };
    let [beganAt, trueAt] = [now, now];
    const sources = new Set<Part["source"]>();
    for (const part of this.parts) {
      beganAt = Math.min(beganAt, part.beganAt);
      trueAt = Math.min(trueAt, part.trueAt);
      sources.add(part.source);
    }
    return {
      observedAt: new Date(beganAt).toISOString(),
      ageMs: now - beganAt,
      ...(trueAt > beganAt && { checkedAgeMs: now - trueAt }),
      source: sourceOf(sources),
      apiCalls: this.apiCalls,
    };
  }
}

function sourceOf(sources: ReadonlySet<Part["source"]>): NonNullable<CallSummary["source"]> {
  const fresh = sources.has("refreshed") && !sources.has("cache");
  if (sources.has("live") || fresh) return "live";
  return sources.has("swept") ? "revalidated" : "cache";
}
