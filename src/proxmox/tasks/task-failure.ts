import { forbidden, parseMissing } from "../../http/permission.ts";
import type { Problem } from "../../problem.ts";

/** A failed task's problem; `forbidden` with the command that mends it where the task lacked a privilege. */
export function explained(problem: Problem, principal: string): Problem {
  if (problem.kind !== "task_failed") return problem;
  const text = [problem.facts["exitstatus"], problem.facts["log"]].flat().map(String);
  for (const line of text) {
    const missing = parseMissing(line);
    if (missing) return forbidden(line, missing, principal, `Task ${problem.facts["type"]}`);
  }
  return problem;
}
