import { isProblem, Problem } from "../../problem.ts";

/** What a request for a volume was about. */
export interface Errand {
  readonly node: string;
  readonly storage: string;
  readonly volid: string;
}

/** `outcome_unknown` with where to look: no guest shows whether a volume came or went. Any other error stays as it is. */
export function lookAtStorage(error: unknown, { node, storage, volid }: Errand): unknown {
  if (!isProblem(error, "outcome_unknown")) return error;
  const tasks = `get_tasks {node: "${node}"}`;
  const content = `list_storage {storage: "${storage}", node: "${node}", max_age_s: 0}`;
  return new Problem("outcome_unknown", error.message, {
    next: `Do not repeat it yet: see with ${tasks} whether its task runs, and when it has ended with ${content} whether ${volid} is there.`,
    facts: { ...error.facts, volid, storage, node },
    cause: error,
  });
}
