/** One notification's figures: `progress` always grows, `total` only where the end is known. */
export interface ProgressStep {
  readonly progress: number;
  readonly total?: number;
}

const total = 100;
const smallestStep = 0.01;

/**
 * Counts one call's progress so that it strictly increases, as the protocol demands: several tasks in a row, or a task
 * that is estimated anew, fall back. Returns undefined when there is nothing left to tell.
 */
export function progressCounter(): (done: number | undefined) => ProgressStep | undefined {
  let last = 0;
  return (done) => {
    const wanted =
      done === undefined ? 0 : Math.round(Math.min(Math.max(done, 0), 1) * total * 100) / 100;
    const progress = wanted > last ? wanted : Math.round((last + smallestStep) * 100) / 100;
    if (progress > total) return undefined;
    last = progress;
    return done === undefined ? { progress } : { progress, total };
  };
}
