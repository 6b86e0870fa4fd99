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

/** The real time of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
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
