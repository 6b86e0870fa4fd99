import * as z from "zod";
import { defineTool } from "../src/tool.ts";
import { planFields, showPlan, taskFields } from "./outcome.ts";
import * as params from "./params.ts";

const output = z.object({
  upid: z.string(),
  type: z.string(),
  changed: z.boolean(),
  task: z.record(z.string(), z.unknown()),
  leaves: z.string().optional(),
  plan: z.record(z.string(), z.unknown()).optional(),
});

export const stopTask = defineTool({
  name: "stop_task",
  description: "Stops a task, waits for its end and says what may be half done.",
  effect: "interrupt",
  input: z.object({ upid: z.string().min(1).max(300), ...params.changing }),
  output,
  async run({ upid, wait_s: waitS, dry_run: dryRun }, { proxmox, call }) {
    const options = { dryRun, timeoutMs: waitS * 1000 };
    const { report, changed, plan, leaves } = await proxmox.services.taskStops.stop(
      upid,
      options,
      call,
    );
    const { type } = report;
    const planned = plan.request && !changed;
    const well = report.state === "ok" || report.state === "warnings";
    return {
      upid,
      type,
      changed,
      task: taskFields(report),
      ...((changed || planned) && !well && { leaves }),
      ...(planned && { plan: planFields(plan) }),
    };
  },
  show(result) {
    const { upid, type, changed, task, leaves } = result;
    const who = `Task ${type}`;
    if (result.plan) return [showPlan(result), leaves].join("\n");
    const end = task["exitstatus"];
    if (!changed) return `${who} had ended already (${end}); nothing was sent.`;
    if (task["state"] === "running") {
      return `${who} was told to stop and still runs. Look again with get_tasks {upid: "${upid}", wait_s: 60}. ${leaves}`;
    }
    if (leaves === undefined) return `${who} had ended well before it could be stopped.`;
    return `${who} has ended (${end ?? "nobody knows how"}). ${leaves}`;
  },
});
