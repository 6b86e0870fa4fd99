interface Event {
  readonly at: number;
  readonly order: number;
  run(): void;
}

/**
 * What will happen in the world, by time. Nothing here waits: whoever looks at the world first lets everything happen that
 * is due by then, each event at its own time.
 */
export class Events {
  #order = 0;
  #queue: Event[] = [];

  /** `at`: milliseconds since the epoch. */
  schedule(at: number, run: () => void): void {
    const event: Event = { at, order: this.#order++, run };
    let index = this.#queue.length;
    while (index > 0) {
      const before = this.#queue[index - 1];
      if (!before || before.at <= at) break;
      index--;
    }
    this.#queue.splice(index, 0, event);
  }

  /** The next event due by `until`, taken out of the queue. */
  take(until: number): { readonly at: number; run(): void } | undefined {
    const first = this.#queue[0];
    if (!first || first.at > until) return undefined;
    return this.#queue.shift();
  }
}
