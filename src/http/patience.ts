import { setMaxListeners } from "node:events";
import type { Clock } from "../clock.ts";

/** How long a request may take in all: until its caller gives up or its time is over, whichever comes first. */
export class Patience {
  readonly #controller = new AbortController();
  readonly #timer = new AbortController();
  readonly #clock: Clock;
  readonly #caller: AbortSignal | undefined;
  readonly #endsAt: number;
  #expired = false;

  constructor(clock: Clock, deadlineMs: number, caller: AbortSignal | undefined) {
    this.#clock = clock;
    this.#caller = caller;
    this.#endsAt = clock.now() + deadlineMs;
    // One caller may have any number of requests under way; Node 20 takes more than ten listeners for a leak and says so.
    if (caller) setMaxListeners(0, caller);
    this.attach();
    clock.sleep(deadlineMs, { signal: this.#timer.signal, background: true }).then(
      () => {
        if (this.signal.aborted) return;
        this.#expired = true;
        this.#controller.abort(new Error("deadline"));
      },
      () => undefined, // `end` was called: the request is over before its time
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The time was over, rather than the caller's patience. */
  get expired(): boolean {
    return this.#expired;
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

  readonly #leave = () => this.#controller.abort(this.#caller?.reason);
}
