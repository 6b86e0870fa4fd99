/** What a node has after a change of ours. */
export interface Outcome {
  /** Of chain and key; undefined: no custom file at all. */
  readonly digest?: string;
  readonly restarted: boolean;
}

/** How long after a change of ours a look at the node may still meet workers from before it. */
const settlingMs = 60_000;

/** What our last change has made of each node's certificate. Keys are in no list, so nothing else tells whether one fits. */
export class CertificateMemory {
  readonly #now: () => number;
  readonly #last = new Map<string, Outcome & { readonly at: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  keep(node: string, outcome: Outcome): void {
    this.#last.set(node, { ...outcome, at: this.#now() });
  }

  forget(node: string): void {
    this.#last.delete(node);
  }

  /** Whether our last change has brought that about; `justNow`: so lately that a look at the node would tell less. */
  brought(node: string, { digest, restarted }: Outcome): "justNow" | "before" | undefined {
    const last = this.#last.get(node);
    if (!last || last.digest !== digest || (restarted && !last.restarted)) return undefined;
    return this.#now() - last.at < settlingMs ? "justNow" : "before";
  }
}
