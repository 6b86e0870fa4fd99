import type { Clock } from "../../clock.ts";

interface Waiter {
  readonly limit: number;
  readonly wake: (got: boolean) => void;
}

/** Counts what goes on at the same time, whichever call began it; who comes first is served first. */
export class Slots {
  readonly #clock: Clock;
  #taken = 0;
  #waiters: Waiter[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes one if fewer than `limit` are taken and nobody waits. */
  try(limit: number): boolean {
    if (this.#taken >= limit || this.#waiters.length > 0) return false;
    this.#taken++;
    return true;
  }

  /** Waits for one until the time has come (ms) or the signal aborts; false where none was free by then. */
  async take(limit: number, until: number, signal: AbortSignal): Promise<boolean> {
    if (this.try(limit)) return true;
    const patience = new AbortController();
    const giveUp = () => patience.abort();
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
    const got = new Promise<boolean>((wake) => {
      const waiter = { limit, wake };
      this.#waiters.push(waiter);
      const leave = () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        wake(false);
      };
      const leftMs = Math.max(0, until - this.#clock.now());
      this.#clock.sleep(leftMs, { signal: patience.signal }).then(leave, leave);
    });
    try {
      return await got;
    } finally {
      giveUp();
      signal.removeEventListener("abort", giveUp);
    }
  }

  /** Gives one back. */
  free(): void {
    this.#taken--;
    const [next] = this.#waiters;
    if (!next || this.#taken >= next.limit) return;
    this.#taken++;
    this.#waiters = this.#waiters.slice(1);
    next.wake(true);
  }
}
