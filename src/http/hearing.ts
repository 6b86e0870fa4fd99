import type { Patience } from "./patience.ts";

/**
 * Which nodes answer, and who waits for their turn to ask them: where a node has answered nobody while a read was under way, those
 * behind it are not kept waiting for the same silence.
 */
export class Hearing {
  readonly #heardAt = new Map<string, number>();
  readonly #waiting = new Map<string, Set<Patience>>();

  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The node has answered somebody. */
  heard(node: string): void {
    this.#heardAt.set(node, this.#now());
  }

  /** How long ago, in ms, the node has last answered anybody. */
  silenceMs(node: string): number {
    return this.#now() - (this.#heardAt.get(node) ?? Number.NEGATIVE_INFINITY);
  }

  /** A read waits for its turn, until the answered function is called. */
  waits(node: string, patience: Patience): () => void {
    const waiting = this.#waiting.get(node) ?? new Set();
    this.#waiting.set(node, waiting.add(patience));
    return () => {
      waiting.delete(patience);
      if (waiting.size === 0 && this.#waiting.get(node) === waiting) this.#waiting.delete(node);
    };
  }

  /** What was asked at `since` has had no answer for `ms`. */
  silent(node: string, since: number, ms: number): void {
    if (this.silenceMs(node) <= this.#now() - since) return;
    for (const patience of [...(this.#waiting.get(node) ?? [])]) patience.expire(ms);
  }
}
