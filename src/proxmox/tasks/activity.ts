import type { Tag } from "../../cache/store.ts";
import { parseUpid } from "../api/values.ts";

interface Busy {
  readonly running: Set<string>;
  endedAt: number;
  /** What a row says that has caught up with what has ended last, where that is known. */
  status: string | undefined;
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
      this.#at(tag).running.add(upid);
    }
  }

  /** It has ended, with all that followed it. */
  finish(upid: string, touches: readonly Tag[]): void {
    for (const tag of touches) {
      const busy = this.#busy.get(tag);
      busy?.running.delete(upid);
      if (busy) Object.assign(busy, { endedAt: this.#now(), status: undefined });
    }
    this.#forget();
  }

  /** A change of ours may be under way, but its answer was lost and with it the UPID: for a while rows are not believed. */
  doubt(touches: readonly Tag[]): void {
    const endedAt = this.#now() + doubtMs;
    for (const tag of touches) Object.assign(this.#at(tag), { endedAt, status: undefined });
  }

  /** Rows of this may be behind the truth until then, in ms; those that say this status are not. */
  settling(tag: Tag, until: number, status?: string): void {
    const busy = this.#at(tag);
    // Of two that came one upon the other, a row that fits the second may be from before the first.
    const alone = this.#now() - busy.endedAt >= rowSettlesMs;
    busy.endedAt = Math.max(busy.endedAt, until - rowSettlesMs);
    busy.status = alone || busy.status === status ? status : undefined;
  }

  /** Whether a row of this may lag behind: something that touches it runs, or ended a moment ago and left it otherwise than this. */
  lags(tag: Tag, status: string): boolean {
    const busy = this.#busy.get(tag);
    if (!busy) return false;
    if (busy.running.size > 0) return true;
    return this.#now() - busy.endedAt < rowSettlesMs && busy.status !== status;
  }

  /** The UPIDs of tasks of ours, of one of these types if some are given, that touch this and still run. */
  running(tag: Tag, ...types: readonly string[]): readonly string[] {
    const upids = [...(this.#busy.get(tag)?.running ?? [])];
    if (types.length === 0) return upids;
    return upids.filter((upid) => types.includes(parseUpid(upid)?.type ?? ""));
  }

  #at(tag: Tag): Busy {
    const busy = this.#busy.get(tag) ?? { running: new Set(), endedAt: 0, status: undefined };
    this.#busy.set(tag, busy);
    return busy;
  }

  /** What ended minutes ago says nothing about rows any more. */
  #forget(): void {
    const old = this.#now() - 60_000;
    for (const [tag, busy] of this.#busy) {
      if (busy.running.size === 0 && busy.endedAt < old) this.#busy.delete(tag);
    }
  }
}
