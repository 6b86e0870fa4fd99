import type { Clock, SleepOptions } from "../clock.ts";

interface Sleeper {
  readonly due: number;
  readonly order: number;
  wake(): void;
}

/**
 * A clock that stands still until somebody moves it. `advance` and `run` wake sleepers in the order of their due times and
 * let everything that follows from one wake-up happen before the next, so a test of hours takes milliseconds and has one outcome.
 */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  #holds = 0;
  #sleepers: Sleeper[] = [];

  /** `start`: milliseconds since the epoch. */
  constructor(start = Date.UTC(2026, 0, 1, 12)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, { signal }: SleepOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const stop = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const sleeper: Sleeper = {
        due: this.#now + Math.max(0, ms),
        order: this.#order++,
        wake: () => {
          signal?.removeEventListener("abort", stop);
          resolve();
        },
      };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  /** Lets `ms` pass: every sleeper due by then wakes at its own time. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.#settle();
    for (let next = this.#next(); next && next.due <= end; next = this.#next()) {
      this.#wake(next);
      await this.#settle();
    }
    this.#now = Math.max(this.#now, end);
    await this.#settle();
  }

  /** Jumps from sleeper to sleeper until the promise settles, and answers what it answers. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => undefined); // the caller gets the rejection from the return below
    await this.#settle();
    while (!settled) {
      const next = this.#next();
      if (next) this.#wake(next);
      await this.#settle();
    }
    return watched;
  }

  /** Real input or output is under way: `run` and `advance` do not jump until the returned function was called. */
  hold(): () => void {
    this.#holds++;
    let held = true;
    return () => {
      if (held) this.#holds--;
      held = false;
    };
  }

  #next(): Sleeper | undefined {
    let best: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (
        !best ||
        sleeper.due < best.due ||
        (sleeper.due === best.due && sleeper.order < best.order)
      ) {
        best = sleeper;
      }
    }
    return best;
  }

  #wake(sleeper: Sleeper): void {
    this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
    this.#now = Math.max(this.#now, sleeper.due);
    sleeper.wake();
  }

  /** Lets promises, immediates and held input and output run dry. */
  async #settle(): Promise<void> {
    do {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    } while (this.#holds > 0);
  }
}
