/**
 * How long a stale answer may be given at the longest after another administrator's change, in s, by what the change is seen in.
 * The one list of them: the benchmark measures against it, and the tests hold every phase of every change to it.
 */

/** Rows show it at once: who is there, where, with which lock, tags and pool. A row is trusted for this long. */
export const rowsS = 10;
/** Rows show it when its host has published it, every 10 s: names and states. */
export const laggingS = rowsS + 10;
/** Nothing tells of it, so that an answer is kept for as long as any: edits of containers. */
export const keptS = 120;
/** Nothing tells of it, and nothing vouches for the answer either. */
export const certificateS = 30;

/** What depends on where sweeps learn what happened. */
export interface Promised {
  /** Edits of VMs. */
  readonly vmEdit: number;
  /** What is on a storage. */
  readonly content: number;
}

/** For who may read the cluster's log, as the benchmark does. */
export const promisedByLog: Promised = { vmEdit: rowsS, content: 30 };
