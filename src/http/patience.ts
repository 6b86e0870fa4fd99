import { setMaxListeners } from "node:events";
import type { Clock } from "../clock.ts";

/** How long a request may take: until its caller gives up or a time is over, whichever comes first. */
export class Patience {
  readonly #controller = new AbortController();
  readonly #timer = new AbortController();
  readonly #clock: Clock;
  readonly #caller: AbortSignal | undefined;
  readonly #endsAt: number;
  #expiredMs: number | undefined;

  constructor(clock: Clock, deadlineMs: number, caller: AbortSignal | undefined) {
    this.#clock = clock;
    this.#caller = caller;
    this.#endsAt = clock.now() + deadlineMs;
    // One caller may have any number of requests under way; Node 20 takes more than ten listeners for a leak and says so.
    if (caller) setMaxListeners(0, caller);
    this.attach();
    this.#time(deadlineMs, this.#timer.signal, () => this.expire(deadlineMs));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The time, in ms, that was over, where it was not the caller's patience. */
  get expiredMs(): number | undefined {
    return this.#expiredMs;
  }

  /** What was waited for has taken this long. */
  expire(ms: number): void {
    if (this.signal.aborted) return;
    this.#expiredMs = ms;
    this.#controller.abort(new Error("deadline"));
  }

  /** Within this time an answer must come; until `answered`, which this returns, is called. */
  expect(ms: number, onSilence: () => void): () => void {
    const timer = new AbortController();
    this.#time(ms, timer.signal, () => {
      this.expire(ms);
      onSilence();
    });
    return () => timer.abort();
  }

  get remainingMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.now());
  }

  /** The caller may give up from now on (again), and may have done so already. */
  attach(): void {
    if (this.#caller?.aborted) this.#leave();
    else this.#caller?.addEventListener("abort", this.#leave, { once: true });
  }

  /** The caller's giving up changes nothing from now on: only the time may run out. */
  detach(): void {
    this.#caller?.removeEventListener("abort", this.#leave);
  }

  /** Stops the timer and lets go of the caller's signal. */
  end(): void {
    this.#timer.abort();
    this.detach();
  }

  #time(ms: number, signal: AbortSignal, over: () => void): void {
    // Rejected: what was timed is over before its time.
    this.#clock.sleep(ms, { signal, background: true }).then(over, () => undefined);
  }

  readonly #leave = () => this.#controller.abort(this.#caller?.reason);
}
