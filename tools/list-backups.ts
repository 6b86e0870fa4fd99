import * as z from "zod";
import type { BackedUp } from "../src/proxmox/backups/backups.ts";
import type { Volume } from "../src/proxmox/storage/volumes.ts";
import { bytes, count, duration, oneLine, table } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { missingLines, missingOf } from "./degraded.ts";
import { type Page, page } from "./page.ts";
import * as params from "./params.ts";

const span = /^([1-9][0-9]{0,4})([hd])$/;

const input = z.object({
  guest: params.guest.optional().describe("each of its backups"),
  storage: z.string().trim().min(1).max(100).optional(),
  node: params.node.optional(),
  older_than: z
    .string()
    .refine((text) => span.test(text), "a span such as 36h or 7d")
    .optional()
    .describe("36h, 7d: none younger"),
  limit: z.int().min(1).max(200).default(20),
  cursor: params.cursor,
  ...params.reading,
});

const output = z.looseObject({
  guests: z.array(z.unknown()).optional(),
  backups: z.array(z.unknown()).optional(),
  degraded: z.array(z.unknown()).optional(),
  unavailable: z.array(z.unknown()).optional(),
  left: z.int(),
  cursor: z.string().optional(),
});

type Args = z.output<typeof input>;
type Result = z.output<typeof output>;

export const listBackups = defineTool({
  name: "list_backups",
  description:
    "Which guests have no backup or only old ones, those first, with age, number and size; with guest each of its backups with volid.",
  effect: "read",
  input,
  output,
  run: (args, context) =>
    args.guest === undefined ? survey(args, context) : ofGuest(args.guest, args, context),
  show: (result) => (result.guests ? showGuests(result) : showBackups(result)),
});

async function survey(args: Args, { proxmox, call }: ToolContext): Promise<Result> {
  const { storage, node, older_than: olderThan, limit, cursor } = args;
  const now = proxmox.clock.now();
  const filter = { storage, node, olderThanMs: spanMs(olderThan) };
  const { guests, unasked } = await proxmox.care.backups.survey(filter, now, call);
  // What could not be asked may hold some, of a guest that lives elsewhere too: it may have been moved since.
  const unsure = unasked.length > 0;
  const fields = (guest: BackedUp) => guestFields(guest, now, unsure);
  const options = { limit, cursor, args: { storage, node, olderThan }, fields };
  const paged = page(guests, ({ type, vmid }) => `${type}/${vmid}`, options);
  const none = guests.filter(({ backups }) => backups.length === 0).length;
  return {
    guests: [...paged.shown],
    ...(unsure ? { unknown: none } : { without: none }),
    ...rest(paged),
    ...missingOf(unasked, proxmox.lookup),
  };
}

async function ofGuest(reference: string, args: Args, { proxmox, call }: ToolContext) {
  const { storage, node: wished, limit, cursor } = args;
  const filter = { storage, node: wished };
  const { guest, unasked } = await proxmox.care.backups.ofGuest(reference, filter, call);
  const { vmid, name, node, type } = guest;
  const options = { limit, cursor, args: { reference, storage }, fields: backupFields };
  const paged = page(guest.backups, (one) => `${one.volid} ${one.node}`, options);
  return {
    vmid,
    ...(name !== undefined && { name }),
    node,
    type,
    backups: [...paged.shown],
    ...rest(paged),
    ...missingOf(unasked, proxmox.lookup),
  };
}

function rest({ total, left, next }: Page<unknown, unknown>) {
  return { total, left, ...(next !== undefined && { cursor: next }) };
}

function spanMs(text: string | undefined): number | undefined {
  const [, amount, unit] = span.exec(text ?? "") ?? [];
  return amount === undefined ? undefined : Number(amount) * (unit === "d" ? 24 : 1) * 3_600_000;
}

/** `unsure`: not all places where backups may lie could be asked. */
function guestFields({ vmid, name, node, type, backups }: BackedUp, now: number, unsure: boolean) {
  const [newest] = backups;
  const oldest = backups.at(-1);
  const unknown = unsure && !newest;
  return {
    vmid,
    ...(name !== undefined && { name }),
    ...(node === undefined ? { gone: true } : { node }),
    type,
    count: unknown ? undefined : backups.length,
    unknown: unknown || undefined,
    ...(newest?.createdAt !== undefined && {
      newest: iso(newest.createdAt),
      age_h: Math.round((now - newest.createdAt) / 360_000) / 10,
    }),
    ...(oldest !== newest && oldest?.createdAt !== undefined && { oldest: iso(oldest.createdAt) }),
    ...(newest && { size_bytes: backups.reduce((sum, one) => sum + (one.sizeBytes ?? 0), 0) }),
  };
}

function backupFields(volume: Volume) {
  const { volid, node, shared, createdAt, sizeBytes, notes } = volume;
  return {
    volid,
    ...(!shared && { node }),
    ...(createdAt !== undefined && { at: iso(createdAt) }),
    ...(sizeBytes !== undefined && { size_bytes: sizeBytes }),
    ...(notes !== undefined && { notes: oneLine(notes, 60) }),
    ...(volume.protected && { protected: true }),
  };
}

function iso(at: number): string {
  return new Date(at).toISOString().replace(".000Z", "Z");
}

type GuestFields = ReturnType<typeof guestFields>;
type BackupFields = ReturnType<typeof backupFields>;

function showGuests(result: Result): string {
  const rows = result.guests as readonly GuestFields[];
  const total = Number(result["total"]);
  const shown = table(rows, [
    { head: "vmid", cell: (row) => row.vmid, right: true },
    { head: "name", cell: (row) => row.name ?? ("gone" in row ? "(guest is gone)" : undefined) },
    { head: "node", cell: (row) => ("node" in row ? row.node : undefined) },
    {
      head: "newest",
      cell: (row) => row.newest?.slice(0, 16) ?? (row.unknown ? "unknown" : "NONE"),
    },
    { head: "age", cell: (row) => (row.age_h === undefined ? "" : duration(row.age_h * 3600)) },
    { head: "count", cell: (row) => row.count, right: true },
    { head: "size", cell: (row) => (row.size_bytes === undefined ? "" : bytes(row.size_bytes)) },
  ]);
  const head = `${count(total, "guest")}, ${gaps(result)}`;
  return lines([total === 0 ? "No guest matches." : head, shown], result);
}

/** Of a guest without a backup where it could be looked for nothing is known. */
function gaps({ without, unknown }: Result): string {
  if (unknown === undefined) return `${without} of them without any backup`;
  return `${unknown} of them without a backup where it could be looked for`;
}

function showBackups(result: Result): string {
  const rows = result.backups as readonly BackupFields[];
  const shown = table(rows, [
    { head: "volid", cell: (row) => row.volid },
    { head: "node", cell: (row) => ("node" in row ? row.node : undefined) },
    { head: "made", cell: (row) => row.at?.slice(0, 16) },
    { head: "size", cell: (row) => (row.size_bytes === undefined ? "" : bytes(row.size_bytes)) },
    { head: "protected", cell: (row) => (row.protected ? "yes" : undefined) },
    { head: "notes", cell: (row) => row.notes },
  ]);
  const who = `${result["type"] === "lxc" ? "container" : "VM"} ${result["vmid"]}`;
  const total = Number(result["total"]);
  // What was not asked may hold some.
  const none =
    result.degraded || result.unavailable
      ? `No backup of ${who} was found where it could be looked for.`
      : `${who} has no backup. Make one with create_backup.`;
  return lines([total === 0 ? none : `${who} has ${count(total, "backup")}`, shown], result);
}

function lines(
  head: readonly string[],
  { left, cursor, degraded = [], unavailable = [] }: Result,
): string {
  return [
    ...head.filter((line) => line !== ""),
    ...missingLines(degraded, unavailable),
    ...(left > 0 ? [`${left} more: repeat with cursor "${cursor}".`] : []),
  ].join("\n");
}
