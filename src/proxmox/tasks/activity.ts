import type { Tag } from "../../cache/store.ts";
import { parseUpid } from "../api/values.ts";

interface Busy {
  readonly running: Set<string>;
  endedAt: number;
}

/** After a task of its, a guest's row is not believed for this long: its node publishes every 10 s, plus collection time. */
export const rowSettlesMs = 15_000;
/** How long a task may run of which we know nothing but that it may run, in ms. */
export const doubtMs = 45_000;

/** What our own tasks work on, and until when their traces may be missing from rows. */
export class Activity {
  readonly #now: () => number;
  readonly #busy = new Map<Tag, Busy>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A task of ours that touches these has begun. */
  begin(upid: string, touches: readonly Tag[]): void {
    for (const tag of touches) {
      const busy = this.#busy.get(tag) ?? { running: new Set(), endedAt: 0 };
      busy.running.add(upid);
      this.#busy.set(tag, busy);
    }
  }

  /** It has ended, with all that followed it. */
  finish(upid: string, touches: readonly Tag[]): void {
    for (const tag of touches) {
      const busy = this.#busy.get(tag);
      busy?.running.delete(upid);
      if (busy) busy.endedAt = this.#now();
    }
    this.#forget();
  }

  /** A change of ours may be under way, but its answer was lost and with it the UPID: for a while rows are not believed. */
  doubt(touches: readonly Tag[]): void {
    for (const tag of touches) {
      const running = this.#busy.get(tag)?.running ?? new Set();
      this.#busy.set(tag, { running, endedAt: this.#now() + doubtMs });
    }
  }

  /** Rows of this may be behind the truth until then, in ms. */
  settling(tag: Tag, until: number): void {
    const busy = this.#busy.get(tag) ?? { running: new Set(), endedAt: 0 };
    busy.endedAt = Math.max(busy.endedAt, until - rowSettlesMs);
    this.#busy.set(tag, busy);
  }

  /** Whether a task of ours that touches this runs or ended less than `ms` ago: then rows lag behind. */
  isActive(tag: Tag, ms: number): boolean {
    const busy = this.#busy.get(tag);
    if (!busy) return false;
    return busy.running.size > 0 || this.#now() - busy.endedAt < ms;
  }

  /** The UPIDs of tasks of ours, of one of these types if some are given, that touch this and still run. */
  running(tag: Tag, ...types: readonly string[]): readonly string[] {
    const upids = [...(this.#busy.get(tag)?.running ?? [])];
    if (types.length === 0) return upids;
    return upids.filter((upid) => types.includes(parseUpid(upid)?.type ?? ""));
  }

  /** What ended minutes ago says nothing about rows any more. */
  #forget(): void {
    const old = this.#now() - 60_000;
    for (const [tag, busy] of this.#busy) {
      if (busy.running.size === 0 && busy.endedAt < old) this.#busy.delete(tag);
    }
  }
}
