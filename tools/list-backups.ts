import * as z from "zod";
import type { BackedUp, UnaskedStorage } from "../src/proxmox/backups/backups.ts";
import type { Volume } from "../src/proxmox/storage/volumes.ts";
import { bytes, count, duration, oneLine, table } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
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
  const fields = (guest: BackedUp) => guestFields(guest, now);
  const options = { limit, cursor, args: { storage, node, olderThan }, fields };
  const paged = page(guests, ({ type, vmid }) => `${type}/${vmid}`, options);
  return {
    guests: [...paged.shown],
    without: guests.filter(({ backups }) => backups.length === 0).length,
    ...rest(paged, unasked),
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
    ...rest(paged, unasked),
  };
}

function rest({ total, left, next }: Page<unknown, unknown>, unasked: readonly UnaskedStorage[]) {
  return {
    total,
    left,
    ...(next !== undefined && { cursor: next }),
    ...(unasked.length > 0 && {
      unasked: unasked.map(({ storage, node, problem }) => ({
        storage,
        ...(node !== undefined && { node }),
        reason: `${problem.kind}: ${oneLine(problem.message, 150)}`,
      })),
    }),
  };
}

function spanMs(text: string | undefined): number | undefined {
  const [, amount, unit] = span.exec(text ?? "") ?? [];
  return amount === undefined ? undefined : Number(amount) * (unit === "d" ? 24 : 1) * 3_600_000;
}

function guestFields({ vmid, name, node, type, backups }: BackedUp, now: number) {
  const [newest] = backups;
  const oldest = backups.at(-1);
  return {
    vmid,
    ...(name !== undefined && { name }),
    ...(node === undefined ? { gone: true } : { node }),
    type,
    count: backups.length,
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
    { head: "newest", cell: (row) => row.newest?.slice(0, 16) ?? "NONE" },
    { head: "age", cell: (row) => (row.age_h === undefined ? "" : duration(row.age_h * 3600)) },
    { head: "count", cell: (row) => row.count, right: true },
    { head: "size", cell: (row) => (row.size_bytes === undefined ? "" : bytes(row.size_bytes)) },
  ]);
  const head = `${count(total, "guest")}, ${result["without"]} of them without any backup`;
  return lines([total === 0 ? "No guest matches." : head, shown], result);
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
  const none = result["unasked"]
    ? `No backup of ${who} was found where it could be looked for.`
    : `${who} has no backup. Make one with create_backup.`;
  return lines([total === 0 ? none : `${who} has ${count(total, "backup")}`, shown], result);
}

function lines(head: readonly string[], { left, cursor, ...result }: Result): string {
  const unasked = (result["unasked"] ?? []) as readonly {
    readonly storage: string;
    readonly node?: string;
    readonly reason: string;
  }[];
  return [
    ...head.filter((line) => line !== ""),
    ...unasked.map(
      ({ storage, node, reason }) =>
        `Not asked: ${storage}${node === undefined ? "" : ` on ${node}`}: ${reason}`,
    ),
    ...(left > 0 ? [`${left} more: repeat with cursor "${cursor}".`] : []),
  ].join("\n");
}
