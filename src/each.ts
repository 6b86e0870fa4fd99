import { isProblem, type Problem } from "./problem.ts";

/** What came of one of several. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

/**
 * Runs for every item, at most `limit` at the same time, and answers in their order: one that fails with a Problem does not
 * keep the others from being done. Anything else that is thrown is a bug and ends it all.
 */
export async function each<Item, T>(
  items: readonly Item[],
  limit: number,
  run: (item: Item) => Promise<T>,
): Promise<readonly Outcome<T>[]> {
  const outcomes: Outcome<T>[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) outcomes[index] = await outcome(run(item));
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return outcomes;
}

/** A Problem as a value. */
export async function outcome<T>(promise: Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await promise };
  } catch (error) {
    if (isProblem(error)) return { ok: false, problem: error };
    throw error;
  }
}

/** The answer, or undefined where these credentials may not see it. */
export async function ifAllowed<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isProblem(error, "forbidden")) return undefined;
    throw error;
  }
}
