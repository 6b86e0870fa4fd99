import * as z from "zod";
import { outcome } from "../src/each.ts";
import { Problem } from "../src/problem.ts";
import { defineTool } from "../src/tool.ts";
import { type ChangeResult, changesOutput, settled, showChange } from "./outcome.ts";
import * as params from "./params.ts";
import { showResults } from "./results.ts";
import { several } from "./several.ts";

export const restartGuest = defineTool({
  name: "restart_guest",
  description: "Restarts running guests, which applies pending changes; reset: a VM's button.",
  effect: "interrupt",
  input: z.object({
    guest: params.guest.optional(),
    guests: params.guests.optional(),
    mode: z.enum(["reboot", "reset"]).default("reboot"),
    ...params.changing,
  }),
  output: changesOutput,
  async run(args, context) {
    const { mode, dry_run: dryRun } = args;
    return several(args, context, async (guest) => {
      const { restarts } = context.proxmox;
      const changed = await restarts.restart(guest, context.call, { mode, dryRun });
      const states = { before: changed.guest.status?.status, after: "running" };
      const ended = await outcome(settled(changed, changed.guest, states, context));
      if (ended.ok) return ended.value;
      throw ignored(ended.problem, changed.guest);
    });
  },
  show: (result) => (result.results ? showResults(result.results, showOne) : showOne(result)),
});

function showOne(result: ChangeResult): string {
  const did = result.status === "stopped" ? "went down" : "has restarted";
  return showChange(result, { did, doing: "is restarting", already: "was left alone" });
}

/** A guest that does not follow the power button runs on, unchanged. */
function ignored(
  error: Problem,
  { vmid, type }: { readonly vmid: number; readonly type: string },
): Problem {
  const { kind, message, facts, cause } = error;
  const gaveUp = /powerdown failed|did not stop/.test(String(facts["exitstatus"]));
  if (kind !== "task_failed" || !gaveUp) return error;
  const way =
    type === "qemu"
      ? `restart_guest {guest: "${vmid}", mode: "reset"}`
      : `stop_guest {guest: "${vmid}", mode: "stop"} and then start_guest`;
  return new Problem(kind, message, {
    next: `It did not go down and still runs. Do it the hard way with ${way}.`,
    facts,
    cause,
  });
}
