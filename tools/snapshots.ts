import * as z from "zod";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { changeFields, settled, showChange, subject } from "./outcome.ts";
import * as params from "./params.ts";

const target = {
  guest: params.guest,
  name: params.snapshot,
  confirm: z.string().max(100).optional().describe("the guest's exact name"),
};

const { vmid, status, changed } = changeFields;
/** The other fields of a change are answered too, but every listed name costs all clients. */
const output = z.looseObject({ vmid, status, changed });

export const rollbackSnapshot = defineTool({
  name: "rollback_snapshot",
  description:
    "Puts a VM or container back to a snapshot: what came since is lost, a running guest stops. Says first what to confirm.",
  effect: "destroy",
  input: z.object({
    ...target,
    start: z.boolean().optional(),
    ...params.changing,
  }),
  output,
  run: (args, context) => change("rollback", args, context),
  show: (result, { name }) =>
    showChange(result, {
      did: `is back at snapshot ${name} and ${result.status}`,
      doing: `is going back to snapshot ${name}`,
      already: "",
    }),
});

export const deleteSnapshot = defineTool({
  name: "delete_snapshot",
  description:
    "Removes one snapshot of a VM or container; the guest and its other snapshots stay. Says first what to confirm.",
  effect: "destroy",
  input: z.object({ ...target, ...params.changing }),
  output,
  run: (args, context) => change("delete", args, context),
  show: (result, { name }) =>
    showChange(result, {
      did: `has no snapshot ${name} any more`,
      doing: `is losing snapshot ${name}`,
      already: "",
    }),
});

interface Args {
  readonly guest: string;
  readonly name: string;
  readonly confirm?: string | undefined;
  readonly start?: boolean | undefined;
  readonly dry_run?: boolean | undefined;
}

async function change(
  verb: "rollback" | "delete",
  { guest, name, confirm: given, start, dry_run: dryRun }: Args,
  context: ToolContext,
) {
  const { proxmox, call } = context;
  const changed = await proxmox.care.snapshots[verb](guest, name, call, {
    start,
    dryRun,
    confirm: (found, lost) => {
      const expected = found.name ?? String(found.vmid);
      return context.confirm({ subject: subject(found), expected, given, lost });
    },
  });
  const states = { before: changed.guest.status?.status, after: changed.after };
  const result = await settled(changed, changed.guest, states, context);
  return { ...result, ...changed.named };
}
