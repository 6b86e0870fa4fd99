import type { Clock } from "../clock.ts";
import { Problem } from "../problem.ts";
import { oneLine } from "../text.ts";
import type { ToolContext } from "../tool.ts";

type Settle = ToolContext["settle"];
type Report = Awaited<ReturnType<Settle>>;

/** What a wait needs from the call it belongs to. */
export interface Patience {
  readonly call: ToolContext["call"];
  readonly clock: Clock;
  /** For the call as a whole: a client's own patience does not grow with the number of tasks. */
  readonly waitMs: number;
}

/** `ToolContext.settle`: waits within the call's deadline and passes progress on; throws task_failed. */
export function settler({ call, clock, waitMs }: Patience): Settle {
  const deadline = clock.now() + waitMs;
  return async (task) => {
    const report = await task.settle({
      call,
      signal: call.signal,
      timeoutMs: Math.max(0, deadline - clock.now()),
      onProgress: call.progress,
    });
    if (report.state === "failed") throw taskFailed(report);
    if (report.state === "unknown") throw lostTask(report);
    return report;
  };
}

/** Nobody can say any more how it ended. */
function lostTask({ upid, node, type, trouble }: Report): Problem {
  const why = trouble ? ` The last reason given: ${trouble.kind}: ${trouble.message}` : "";
  const mend = trouble?.next === undefined ? "" : `${trouble.next} `;
  return new Problem("outcome_unknown", `How task ${type} on ${node} ended can't be seen.${why}`, {
    next: `${mend}Look at what it should have changed, or try get_tasks with upid: "${upid}", before you repeat it.`,
    facts: { upid, node, type, ...(trouble && { reason: trouble.kind }) },
    cause: trouble,
  });
}

/** The log goes into the text as well: many hosts show a model nothing else. */
function taskFailed({
  upid,
  node,
  type,
  exitstatus = "no reason given",
  log = [],
  next = "Mend the cause before trying again",
}: Report): Problem {
  const lines = log.map((line) => `\n  ${oneLine(line, 200)}`).join("");
  const tail = lines === "" ? "" : `\nLast lines of its log:${lines}\n`;
  return new Problem(
    "task_failed",
    `Task ${type} on ${node} failed: ${oneLine(exitstatus, 400)}.${tail}`,
    {
      next: `${next}; get_tasks with upid: "${upid}" has the whole log.`,
      facts: { upid, node, type, exitstatus, log },
    },
  );
}
