/** A flat string that names something in the cluster which can change: `inventory`, `guest:qemu/101`, `node:pve1` … */
export type Tag = string;

/** What the store keeps of one answer. */
export interface Entry {
  /** Tells this fill of its key from any other, of other processes too: two may have begun in the same millisecond. */
  readonly fill: number;
  readonly value: unknown;
  /**
   * Time in ms at which the fetch began, by the clock of the process that reads it: what was true later is not known, so age
   * counts from here. Clocks of different machines are never compared: a shared store keeps ages, by its own clock.
   */
  readonly beganAt: number;
  readonly tags: readonly Tag[];
  /** The tags' counters as they were when the fetch began; the entry is valid while they are unchanged. */
  readonly epochs: readonly number[];
  /** About what it takes in memory, in bytes, for the store's bound: several times its length on the wire. */
  readonly bytes: number;
}

/**
 * Where the answers of one connection and their tags' counters are kept: a store that several share keeps them apart by connection and
 * credentials, as PVE shows each what it may see. Asynchronous, and no clock in it, so that a shared store can stand here too.
 * A counter that was never raised reads 0; a store that has lost counters must not restart them at a value it has used.
 */
export interface CacheStore {
  get(key: string): Promise<Entry | undefined>;
  set(key: string, entry: Entry): Promise<void>;
  /** The counters of these tags, in their order. */
  epochs(tags: readonly Tag[]): Promise<readonly number[]>;
  /** Raises the counters: every entry that carries one of these tags is invalid from now on. O(1) per tag. */
  bump(tags: readonly Tag[]): Promise<void>;
  size(): { readonly entries: number; readonly bytes: number };
}

/** Whether counters are unchanged. */
export function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
