import * as z from "zod";
import type { Plan } from "../src/proxmox/tasks/plan.ts";
import type { Task } from "../src/proxmox/tasks/task.ts";
import type { ToolContext } from "../src/tool.ts";
import { changeFields, planFields, taskFields } from "./outcome.ts";

const { node, changed, upid, task, plan } = changeFields;

/** What is answered of a file that comes to a storage, or goes. */
export const storedFields = {
  volid: z.string(),
  storage: z.string(),
  node,
  status: z.string(),
  changed,
  upid,
  task,
  plan,
};

const storedOutput = z.object(storedFields);
type Stored = z.output<typeof storedOutput>;

interface Done {
  readonly volid: string;
  readonly storage: string;
  readonly node: string;
  readonly changed: boolean;
  readonly plan: Plan;
  readonly task?: Task;
}

/** What came of it; `states` are what it is before, meanwhile and after. */
export async function settledStored(
  { volid, storage, node, changed, plan, task }: Done,
  states: readonly [before: string, meanwhile: string, after: string],
  planned: boolean | undefined,
  context: ToolContext,
): Promise<Stored> {
  const [before, meanwhile, after] = states;
  const done = { volid, storage, node, changed };
  if (planned) return { ...done, status: before, changed: false, plan: planFields(plan) };
  if (!task) return { ...done, status: after };
  const report = await context.settle(task);
  const status = report.state === "running" ? meanwhile : after;
  return { ...done, status, upid: report.upid, task: taskFields(report) };
}
