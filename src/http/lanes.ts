import type { Clock } from "../clock.ts";
import type { Hearing } from "./hearing.ts";

interface Waiting {
  readonly node: string | undefined;
  readonly enter: () => void;
}

/** The most that is under way at once, on the connection and on one node. */
const perConnection = 8;
const perNode = 4;
/**
 * A node takes a second place only while one more stays free, a third or fourth while two do. So two nodes that hang leave two
 * places to others, and three leave one: what is answered there tells that it is the nodes that hang.
 */
const share = 2;
/** What takes a node longer gives its place back, if others have answered meanwhile: who waits there keeps nobody else waiting. */
const slowMs = 2_000;
/** So many at most: all of one node. Where more hang, `share` keeps places for others, and the host never has more than twelve. */
const maxSlow = perNode;

/**
 * How much is under way at once: pveproxy and pvedaemon have three workers each, of which everyone occupies one per request, but
 * not while it only waits for another node (PVE::APIServer::AnyEvent proxy_request). The rest waits.
 */
export class Lanes {
  readonly #clock: Clock;
  readonly #hearing: Hearing;
  readonly #onNode = new Map<string, number>();
  #onConnection = 0;
  #slow = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock, hearing: Hearing) {
    this.#clock = clock;
    this.#hearing = hearing;
  }

  /**
   * Runs `work` when there is room, on `node` too where one is given. Rejects with the signal's reason if it aborts while
   * waiting; `work` is then never run and the place goes to the next.
   */
  async run<T>(node: string | undefined, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#admitted(node, signal);
    const leave = node === undefined ? () => this.#onConnection-- : this.#onItsWay(node);
    try {
      return await work();
    } finally {
      leave();
      this.#admit();
    }
  }

  /** Answers what gives its places back. */
  #onItsWay(node: string): () => void {
    const done = new AbortController();
    const since = this.#clock.now();
    let isSlow = false;
    // Judged once: given back much later, places would go to others of the same node, who have waited long and would begin anew.
    const judge = () => {
      if (this.#slow === maxSlow || !this.#hearing.othersAnswer(node, since)) return;
      isSlow = true;
      this.#slow++;
      this.#onConnection--;
      this.#admit();
    };
    const sleep = this.#clock.sleep(slowMs, { signal: done.signal, background: true });
    sleep.then(judge, () => undefined); // rejected: it was done before
    return () => {
      done.abort();
      if (isSlow) this.#slow--;
      else this.#onConnection--;
      this.#leave(node);
    };
  }

  #admitted(node: string | undefined, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const stop = () => {
        this.#waiting.delete(waiting);
        reject(signal.reason);
      };
      const enter = () => {
        signal.removeEventListener("abort", stop);
        resolve();
      };
      const waiting: Waiting = { node, enter };
      signal.addEventListener("abort", stop, { once: true });
      this.#waiting.add(waiting);
      this.#admit();
    });
  }

  /** Lets in whoever there is room for. */
  #admit(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      const { node, enter } = next;
      this.#waiting.delete(next);
      this.#onConnection++;
      if (node !== undefined) this.#onNode.set(node, this.#of(node) + 1);
      enter();
    }
  }

  /** The first of those whose nodes have the least to do: a long queue for one is none for the others. */
  #next(): Waiting | undefined {
    let best: Waiting | undefined;
    for (const waiting of this.#waiting) {
      if (this.#onConnection === perConnection) break;
      const less = best === undefined || this.#of(waiting.node) < this.#of(best.node);
      if (less && this.#hasRoom(waiting.node)) best = waiting;
    }
    return best;
  }

  #hasRoom(node: string | undefined): boolean {
    const free = perConnection - this.#onConnection;
    const taken = this.#of(node);
    return taken < perNode && free > Math.min(taken, share);
  }

  #of(node: string | undefined): number {
    return node === undefined ? 0 : (this.#onNode.get(node) ?? 0);
  }

  /** A node on which nothing is under way is forgotten. */
  #leave(node: string): void {
    const left = this.#of(node) - 1;
    if (left > 0) this.#onNode.set(node, left);
    else this.#onNode.delete(node);
  }
}
