import { Semaphore } from "async-mutex";

interface Lane {
  readonly semaphore: Semaphore;
  /** How many hold or wait for a place; a lane without any is forgotten. */
  users: number;
}

/**
 * How much is under way at once: pveproxy and pvedaemon have three workers each, of which everyone occupies one per request.
 * The rest waits in the order of arrival.
 */
export class Lanes {
  readonly #perNode: number;
  readonly #all: Semaphore;
  readonly #nodes = new Map<string, Lane>();

  constructor(limits: { readonly perNode?: number; readonly perConnection?: number } = {}) {
    this.#perNode = limits.perNode ?? 4;
    this.#all = new Semaphore(limits.perConnection ?? 8);
  }

  /**
   * Runs `work` when there is room, on `node` too where one is given. Rejects with the signal's reason if it aborts while
   * waiting; `work` is then never run and the place goes to the next. Whoever waits for a node holds no place of the connection.
   */
  async run<T>(node: string | undefined, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (node === undefined) return this.#admit(signal, work);
    const lane = this.#lane(node);
    lane.users++;
    try {
      return await holding(lane.semaphore, signal, () => this.#admit(signal, work));
    } finally {
      lane.users--;
      if (lane.users === 0) this.#nodes.delete(node);
    }
  }

  #admit<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return holding(this.#all, signal, work);
  }

  #lane(node: string): Lane {
    const lane = this.#nodes.get(node) ?? { semaphore: new Semaphore(this.#perNode), users: 0 };
    this.#nodes.set(node, lane);
    return lane;
  }
}

async function holding<T>(
  semaphore: Semaphore,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const release = await acquire(semaphore, signal);
  try {
    return await work();
  } finally {
    release();
  }
}

/** A semaphore's queue cannot be left, so a place that comes too late is given back at once. */
function acquire(semaphore: Semaphore, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    semaphore.acquire().then(([, release]) => {
      signal.removeEventListener("abort", stop);
      if (signal.aborted) release();
      else resolve(release);
    }, reject);
  });
}
