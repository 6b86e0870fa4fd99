import type { Clock } from "../../clock.ts";
import type { Problem } from "../../problem.ts";
import { Call, type Progress } from "../api/call.ts";
import type { Upid } from "../api/values.ts";

/** Who waits for a task: pays for the looks at it, and hears how far it is. */
export interface Waiter {
  readonly call: Call | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

/** A task of ours under watch. */
export class Watched {
  readonly upid: Upid;
  /** Log lines that were told of. */
  seenLines = 0;
  /** Why the last look failed; undefined when it did not. */
  trouble: Problem | undefined;
  readonly #waiters = new Set<Waiter>();
  #wake = new AbortController();
  /** Who wants the look that comes next, and who that which is under way. */
  #next: (() => void)[] = [];
  #current: (() => void)[] = [];
  #hasEnded = false;

  constructor(upid: Upid) {
    this.upid = upid;
  }

  /** Looks are paid for by a call that waits; when none does, by nobody. */
  get caller(): Call {
    const caller = new Call();
    caller.sent = () => [...this.#waiters].find(({ call }) => call)?.call?.sent();
    return caller;
  }

  /** Whether anybody wants to hear how far it is. */
  get isFollowed(): boolean {
    return [...this.#waiters].some(({ onProgress }) => onProgress);
  }

  /** Somebody waits from now on; answers what to call when that is over. */
  enter(waiter: Waiter): () => void {
    this.#waiters.add(waiter);
    return () => this.#waiters.delete(waiter);
  }

  tell(progress: Progress): void {
    for (const { onProgress } of this.#waiters) onProgress?.(progress);
  }

  /** Until the next look is due, or somebody wants it now. */
  async pause(clock: Clock, ms: number): Promise<void> {
    const { signal } = this.#wake;
    await clock.sleep(ms, { background: true, signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    this.#wake = new AbortController();
    this.#current = this.#next;
    this.#next = [];
  }

  /** Has it looked at now. Resolves when a look that began after this is done, or it has ended. */
  async look(call: Call): Promise<void> {
    if (this.#hasEnded) return;
    const leave = this.enter({ call, onProgress: undefined });
    const looked = new Promise<void>((resolve) => this.#next.push(resolve));
    this.#wake.abort();
    await looked;
    leave();
  }

  /** A look is done. */
  looked(): void {
    for (const resolve of this.#current) resolve();
    this.#current = [];
  }

  /** The task has ended, and what we know is what it has left behind. */
  ended(): void {
    this.#hasEnded = true;
    for (const resolve of [...this.#current, ...this.#next]) resolve();
    this.#current = [];
    this.#next = [];
  }
}
