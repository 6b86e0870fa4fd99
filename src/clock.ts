/** Time as a parameter: everything that reads the time or waits takes a Clock, so that tests and the demo drive it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /**
   * Resolves after `ms`; rejects with the signal's reason as soon as it aborts.
   * A `background` sleep does not keep the process alive.
   */
  sleep(ms: number, options?: SleepOptions): Promise<void>;
}

export interface SleepOptions {
  readonly signal?: AbortSignal | undefined;
  readonly background?: boolean;
}

/** The same time, but where that is set back it goes on from where it was: ages stay right, and what began later is later. */
export function neverBack(time: () => number): () => number {
  let [last, ahead] = [Number.NEGATIVE_INFINITY, 0];
  return () => {
    const now = time() + ahead;
    if (now < last) ahead += last - now;
    last = Math.max(last, now);
    return last;
  };
}

/** The real time of this machine. */
export const systemClock: Clock = {
  now: neverBack(Date.now),
  sleep: (ms, { signal, background } = {}) =>
    new Promise<void>((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const timer = setTimeout(done, ms);
      if (background) timer.unref();
      signal?.addEventListener("abort", stop, { once: true });
      function done() {
        signal?.removeEventListener("abort", stop);
        resolve();
      }
      function stop() {
        clearTimeout(timer);
        reject(signal?.reason);
      }
    }),
};
