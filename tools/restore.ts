import * as z from "zod";
import { outcome } from "../src/each.ts";
import { Problem } from "../src/problem.ts";
import type { Newcomer } from "../src/proxmox/cluster/newcomers.ts";
import type { Changed } from "../src/proxmox/guests/changes.ts";
import type { Identified } from "../src/proxmox/guests/identity.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { type ChangeResult, changeFields, settled, showChange, subject } from "./outcome.ts";
import * as params from "./params.ts";

const { vmid, name, status, changed } = changeFields;

const input = z.object({
  volume: z.string().trim().min(1).max(255).describe("volid, as list_backups {guest} shows it"),
  guest: params.guest.optional().describe("to write over; else a new guest is made"),
  name: params.newName.optional().describe("for it; default: as in the backup"),
  vmid: params.newVmid,
  node: params.node.optional(),
  storage: z
    .string()
    .trim()
    .min(1)
    .max(100)
    .optional()
    .describe("for its disks; default: as before"),
  start: z.boolean().optional(),
  confirm: z.string().max(100).optional().describe("the exact name of guest"),
  ...params.changing,
});

type Args = z.output<typeof input>;

export const restoreBackup = defineTool({
  name: "restore_backup",
  description:
    "Brings a guest back from a backup: beside what there is, as a new guest with new MAC addresses, or with guest over that stopped guest, whose disks and snapshots are lost. Says first what to confirm.",
  effect: "destroy",
  input,
  output: z.looseObject({ vmid, name, status, changed }),
  run: (args, context) =>
    args.guest === undefined ? beside(args, context) : over(args.guest, args, context),
  show: (result, { volume }) =>
    showChange(result as ChangeResult, {
      did: `is restored from ${volume} and ${result.status}`,
      doing: `is being restored from ${volume}`,
      already: "",
    }),
});

async function beside(args: Args, context: ToolContext): Promise<ChangeResult> {
  const { proxmox, call } = context;
  const { volume, name, vmid, node, storage, start, dry_run: dryRun } = args;
  const options = { name, vmid, node, storage, start, dryRun };
  const begun = await proxmox.care.restores.beside(volume, call, options);
  const states = { after: start ? "running" : "stopped" };
  const result = await ended(begun, states, context, false);
  proxmox.lookup.names.tell(begun.guest, begun.guest.name);
  return result;
}

async function over(guest: string, args: Args, context: ToolContext): Promise<ChangeResult> {
  const { proxmox, call } = context;
  const { volume, name, storage, start, confirm: given, dry_run: dryRun } = args;
  for (const argument of ["vmid", "node"] as const) {
    if (args[argument] !== undefined) throw onlyBeside(argument);
  }
  const begun = await proxmox.care.restores.over(volume, guest, call, {
    name,
    storage,
    start,
    dryRun,
    ask: (found, lost) => {
      const expected = found.name ?? String(found.vmid);
      return context.confirm({ subject: subject(found), expected, given, lost });
    },
  });
  const states = { before: begun.guest.status?.status, after: start ? "running" : "stopped" };
  const result = await ended(begun, states, context, true);
  // It has its own name no more.
  const renamed = begun.changed && result.task?.["state"] !== "running" && begun.name;
  return { ...result, ...(renamed && { name: renamed }) };
}

/** A failure is told with what it leaves behind. */
async function ended(
  begun: Changed<Newcomer | Identified>,
  states: { readonly before?: string | undefined; readonly after: string },
  context: ToolContext,
  over: boolean,
): Promise<ChangeResult> {
  const end = await outcome(settled(begun, begun.guest, states, context));
  if (end.ok) return end.value;
  const { care } = context.proxmox;
  throw care.restores.failed(context.proxmox.explain(end.problem), begun.guest, over);
}

function onlyBeside(argument: string): Problem {
  return new Problem("invalid_input", `${argument} is for a new guest; guest keeps its own.`, {
    next: `Leave ${argument} out, or guest.`,
    facts: { argument },
  });
}
