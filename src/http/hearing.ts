import type { Patience } from "./patience.ts";

/**
 * Which nodes answer, and who waits for their turn to ask them: where a node has answered nobody while a read was under way, those
 * behind it are not kept waiting for the same silence. And whether it is the node that is silent, or all that is asked.
 */
export class Hearing {
  readonly #heardAt = new Map<string, number>();
  /** When the latest of what was answered had been asked; undefined: of the host itself. */
  readonly #askedAt = new Map<string | undefined, number>();
  readonly #waiting = new Map<string, Set<Patience>>();

  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The node, or where none is given the host itself, has answered what it was asked `ms` ago. */
  heard(node: string | undefined, ms: number): void {
    const askedAt = this.#now() - ms;
    this.#askedAt.set(node, Math.max(askedAt, this.#askedAt.get(node) ?? askedAt));
    if (node !== undefined) this.#heardAt.set(node, this.#now());
  }

  /** Whether another node, or the host itself, has answered what it was asked after `since`: then the way there is open. */
  othersAnswer(node: string, since: number): boolean {
    return [...this.#askedAt].some(([other, askedAt]) => other !== node && askedAt > since);
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
