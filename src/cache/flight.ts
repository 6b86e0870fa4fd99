import { cancelled, type Reader } from "./reading.ts";

/** A fetch under way, and how many wait for it. */
export interface Flight {
  readonly beganAt: number;
  /** Counts the fetches of a cache. */
  readonly fill: number;
  readonly epochs: readonly number[];
  readonly promise: Promise<unknown>;
  readonly controller: AbortController;
  waiters: number;
}

/** What the flight brings; rejects when the reader gives up. `abandon` is called when nobody waits any more. */
export async function waitFor(
  flight: Flight,
  reader: Reader,
  abandon: () => void,
): Promise<unknown> {
  flight.waiters++;
  let leave: (() => void) | undefined;
  const left = new Promise<never>((_resolve, reject) => {
    leave = () => reject(cancelled(reader.signal));
    if (reader.signal.aborted) leave();
    else reader.signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([flight.promise, left]);
  } finally {
    if (leave) reader.signal.removeEventListener("abort", leave);
    flight.waiters--;
    if (flight.waiters === 0) abandon();
  }
}
