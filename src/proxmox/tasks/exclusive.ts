import { Mutex } from "async-mutex";

/** Lets one after the other do something to the same thing. */
export class Exclusive<Key> {
  readonly #mutexes = new Map<Key, Mutex>();

  async run<T>(key: Key, run: () => Promise<T>): Promise<T> {
    const mutex = this.#mutexes.get(key) ?? new Mutex();
    this.#mutexes.set(key, mutex);
    try {
      return await mutex.runExclusive(run);
    } finally {
      if (!mutex.isLocked()) this.#mutexes.delete(key);
    }
  }
}
