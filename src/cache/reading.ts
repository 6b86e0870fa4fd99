import { channel } from "node:diagnostics_channel";
import { Problem } from "../problem.ts";
import type { Tag } from "./store.ts";

/** How long a kind of answer may be served, and what makes it invalid before that. */
export interface Freshness {
  /** Served without asking for this long, in ms. */
  readonly trustedMs: number;
  /** Served up to this age when the caller allows it (`max_age_s`) or nothing happened to it, in ms. */
  readonly keptMs: number;
  /** Whether a sweep that says nothing happened to it renews the trust, up to `keptMs`. */
  readonly swept?: boolean;
  readonly tags: readonly Tag[];
}

/** One answer that a call has used: enough to say how old it is and whether it still holds. */
export interface Part {
  /** Under which memory keeps it, and which fill of that it was; absent for what is known without a read. */
  readonly kept?: { readonly key: string; readonly fill: number };
  readonly beganAt: number;
  /** `swept`: from memory, after a sweep of this call said that nothing happened to it. `refreshed`: what that sweep has fetched. */
  readonly source: "live" | "refreshed" | "swept" | "cache";
  /** When it was last known to be true, in ms: its fetch, or a later sweep. */
  readonly trueAt: number;
  /** Until when it is trusted without asking, in ms. */
  readonly until: number;
  readonly tags: readonly Tag[];
  readonly epochs: readonly number[];
}

/** Who reads: gives up by signal, may ask for other freshness, and keeps account of what it was given. */
export interface Reader {
  readonly signal: AbortSignal;
  /** Greatest acceptable age in ms; absent: the class's own `trustedMs`. 0 is live. */
  readonly maxAgeMs: number | undefined;
  note(part: Part): void;
  /** A request on its behalf has left. */
  sent(): void;
}

/** What a fetch brings: the value and about what it takes in memory, in bytes. */
export interface Fetched<T> {
  readonly value: T;
  readonly bytes: number;
}

/** Published on the diagnostics channel `mcp-server-proxmox:cache`. */
export interface CacheEvent {
  readonly type:
    | "hit"
    | "miss"
    | "join"
    | "revalidate"
    | "invalidate"
    | "late"
    | "failed"
    | "evict";
  readonly key?: string;
  readonly tags?: readonly Tag[];
}

export const cacheChannel = channel("mcp-server-proxmox:cache");

export interface CacheCounters {
  hits: number;
  misses: number;
  joined: number;
  revalidated: number;
  invalidated: number;
  lateFillsDropped: number;
  failed: number;
  evicted: number;
}

/** Where counting begins. */
export function noneCounted(): CacheCounters {
  return {
    hits: 0,
    misses: 0,
    joined: 0,
    revalidated: 0,
    invalidated: 0,
    lateFillsDropped: 0,
    failed: 0,
    evicted: 0,
  };
}

/** Told to a reader that has given up. */
export function cancelled(signal: AbortSignal): Problem {
  return new Problem("cancelled", "The call was cancelled.", { cause: signal.reason });
}
