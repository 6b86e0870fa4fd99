import * as z from "zod";
import { outcome } from "../src/each.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { type ChangeResult, changeFields, settled, showChange } from "./outcome.ts";
import * as params from "./params.ts";
import { showResults } from "./results.ts";
import { several } from "./several.ts";

const storage = z.string().trim().min(1).max(100).optional();
const { vmid, status, changed } = changeFields;
/** The other fields of a change are answered too, but every listed name costs all clients. */
const fields = { vmid, status, changed };
const volid = z.string().optional();

const createInput = z.object({
  guest: params.guest.optional(),
  guests: params.guests.optional(),
  storage: storage.describe("default: the only one that holds backups"),
  mode: z
    .enum(["snapshot", "suspend", "stop"])
    .default("snapshot")
    .describe("suspend and stop interrupt it"),
  notes: z.string().max(1_000).optional().describe("may hold {{guestname}}, {{vmid}}, {{node}}"),
  protected: z.boolean().optional().describe("from deletion"),
  ...params.changing,
});

type BackupResult = ChangeResult & { readonly volid?: string | undefined };

export const createBackup = defineTool({
  name: "create_backup",
  description:
    "Backs up VMs or containers to a storage, running ones too, and answers the volid of each backup. A node makes one at a time.",
  effect: "change",
  input: createInput,
  output: z.looseObject({ ...fields, volid, results: z.array(z.unknown()).optional() }),
  run: (args, context) => several(args, context, (guest) => backUp(guest, args, context)),
  show: (result) =>
    result.results ? showResults(result.results, showBackup) : showBackup(result as BackupResult),
});

async function backUp(
  guest: string,
  args: z.output<typeof createInput>,
  context: ToolContext,
): Promise<BackupResult> {
  const { proxmox, call } = context;
  const { storage, mode, notes, protected: protect, dry_run: dryRun } = args;
  const options = { storage, mode, notes, protect, dryRun };
  const begun = await proxmox.care.backupCreation.create(guest, call, options);
  const { status = begun.guest.row.status } = begun.guest.status ?? {};
  const ended = await outcome(
    settled(begun, begun.guest, { before: status, after: status }, context),
  );
  if (!ended.ok) throw proxmox.explain(ended.problem);
  const { volid } = begun.made;
  return { ...ended.value, ...(volid !== undefined && { volid }) };
}

function showBackup(result: BackupResult): string {
  return showChange(result, {
    did: result.volid === undefined ? "is backed up" : `is backed up as ${result.volid}`,
    doing: "is being backed up",
    already: "",
  });
}
