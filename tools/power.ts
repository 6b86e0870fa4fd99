import * as z from "zod";
import { outcome } from "../src/each.ts";
import { Problem } from "../src/problem.ts";
import { defineTool } from "../src/tool.ts";
import {
  type ChangeResult,
  changesOutput,
  lookAt,
  settled,
  showChange,
  subject,
} from "./outcome.ts";
import * as params from "./params.ts";
import { showResults } from "./results.ts";
import { several } from "./several.ts";

const one = { guest: params.guest.optional(), guests: params.guests.optional() };

export const startGuest = defineTool({
  name: "start_guest",
  description:
    "Starts stopped VMs or containers, resumes paused VMs, and waits until they run. Running ones are left alone.",
  effect: "change",
  input: z.object({ ...one, ...params.changing }),
  output: changesOutput,
  async run(args, context) {
    const { proxmox, call } = context;
    return several(args, context, async (guest) => {
      const changed = await proxmox.power.start(guest, call, { dryRun: args.dry_run });
      const states = { before: changed.guest.status?.status, after: "running" };
      return settled(changed, changed.guest, states, context);
    });
  },
  show: (result) =>
    showAll(result, () => ({
      did: "runs",
      doing: "is being started",
      already: "runs already",
    })),
});

const doing = {
  shutdown: { after: "stopped", did: "has shut down", doing: "is shutting down" },
  stop: { after: "stopped", did: "was stopped", doing: "is being stopped" },
  suspend: { after: "paused", did: "is suspended", doing: "is being suspended" },
};

export const stopGuest = defineTool({
  name: "stop_guest",
  description:
    "Shuts VMs or containers down and waits until they are off; mode stop pulls the plug, suspend pauses. Stopped ones are left alone.",
  effect: "interrupt",
  input: z.object({
    ...one,
    mode: z.enum(["shutdown", "stop", "suspend"]).default("shutdown"),
    timeout_s: z
      .int()
      .min(1)
      .max(3_600)
      .optional()
      .describe("for shutdown; Proxmox gives up after 60"),
    ...params.changing,
  }),
  output: changesOutput,
  async run(args, context) {
    const { proxmox, call } = context;
    const { mode, timeout_s: timeoutS, dry_run: dryRun } = args;
    return several(args, context, async (guest) => {
      const changed = await proxmox.power.stop(guest, call, { mode, timeoutS, dryRun });
      const states = { before: changed.guest.status?.status, after: doing[mode].after };
      const ended = await outcome(settled(changed, changed.guest, states, context));
      if (ended.ok) return ended.value;
      throw mode === "shutdown" ? ignored(ended.problem, changed.guest.vmid) : ended.problem;
    });
  },
  show: (result, { mode }) =>
    showAll(result, (item) => ({ ...doing[mode], already: left(item, mode) })),
});

/** Why it was left alone. */
function left(result: ChangeResult, mode: keyof typeof doing): string {
  if (mode === "suspend") return "is paused or stopped already";
  if (result.status === "stopped") return "is stopped already";
  return `is ${result.status}, and HA has been told to stop it already (see ${lookAt(result)})`;
}

/** A guest that did not follow the power button runs on; what is left is to wait longer or to pull the plug. */
function ignored(error: Problem, vmid: number): Problem {
  const { kind, message, facts, cause } = error;
  const gaveUp = /powerdown failed|did not stop/.test(String(facts["exitstatus"]));
  if (kind !== "task_failed" || !gaveUp) return error;
  const next = `It still runs. Give it longer with timeout_s, or pull the plug with stop_guest {guest: "${vmid}", mode: "stop"}.`;
  return new Problem(kind, message, { next, facts, cause });
}

function showAll(
  result: z.output<typeof changesOutput>,
  words: (item: ChangeResult) => Parameters<typeof showChange>[1],
): string {
  const show = (item: ChangeResult) => showChange(item, words(item));
  return result.results ? showResults(result.results, show) : show(result);
}

export const deleteGuest = defineTool({
  name: "delete_guest",
  description:
    "Destroys a stopped VM or container with its disks, for good. The first call without confirm says what would be lost and what to repeat.",
  effect: "destroy",
  input: z.object({
    guest: params.guest,
    confirm: z.string().max(100).optional().describe("its exact name, or vmid if it has none"),
    purge: z.boolean().default(false).describe("also out of backup jobs, replication and HA"),
    ...params.changing,
  }),
  output: changesOutput.extend({ still_mentioned: z.array(z.string()).optional() }),
  async run({ guest, confirm, purge, dry_run: dryRun }, context) {
    const { proxmox, call } = context;
    const changed = await proxmox.deletion.delete(guest, call, {
      purge,
      dryRun,
      confirm: async (found) => {
        const expected = found.name ?? String(found.vmid);
        const lost = await proxmox.deletion.losses(found, purge, call);
        await context.confirm({ subject: subject(found), expected, given: confirm, lost });
      },
    });
    const states = { before: changed.guest.status?.status, after: "deleted" };
    const result = await settled(changed, changed.guest, states, context);
    const jobs =
      changed.task && !purge ? await proxmox.deletion.backupJobs(changed.guest, call) : undefined;
    return { ...result, ...(jobs && jobs.length > 0 && { still_mentioned: [...jobs] }) };
  },
  show(result) {
    const words = { did: "is deleted", doing: "is being destroyed", already: "was left alone" };
    const jobs = result.still_mentioned;
    const mention = jobs
      ? `\nBackup jobs that still name it: ${jobs.join(", ")}. Take its vmid out of them before another guest gets it.`
      : "";
    return `${showChange(result, words)}${mention}`;
  },
});
