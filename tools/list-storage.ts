import * as z from "zod";
import type { ListedStorage, UnaskedStorage } from "../src/proxmox/storage/storages.ts";
import type { Volume } from "../src/proxmox/storage/volumes.ts";
import { bytes, count, oneLine, percent, table } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { type Degraded, degradedBy, missingLines, missingOf, silenceWords } from "./degraded.ts";
import { page } from "./page.ts";
import * as params from "./params.ts";

const input = z.object({
  storage: z.string().trim().min(1).max(100).optional().describe("shows what it holds"),
  node: params.node.optional(),
  content: z
    .enum(["images", "rootdir", "iso", "vztmpl", "backup", "snippets", "import"])
    .optional(),
  guest: params.guest.optional(),
  limit: params.limit,
  cursor: params.cursor,
  ...params.reading,
});

const output = z.object({
  storages: z.array(z.unknown()).optional(),
  storage: z.string().optional(),
  volumes: z.array(z.unknown()).optional(),
  degraded: z.array(z.unknown()).optional(),
  unavailable: z.array(z.unknown()).optional(),
  total: z.int(),
  left: z.int(),
  cursor: z.string().optional(),
});

type Args = z.output<typeof input>;
type Result = z.output<typeof output>;

export const listStorage = defineTool({
  name: "list_storage",
  description:
    "Storages with type, state, use and content types; with storage the ISO images, templates, backups and disks it holds, by type or guest.",
  effect: "read",
  input,
  output,
  async run(args, context) {
    const { storage, guest } = args;
    if (storage !== undefined) return content(storage, args, context);
    return guest === undefined ? storages(args, context) : ofGuest(guest, args, context);
  },
  show: (result, { node }) =>
    result.storages ? showStorages(result) : showContent(result, node ?? "its node"),
});

async function storages(args: Args, { proxmox, call }: ToolContext): Promise<Result> {
  const { limit, cursor, node, content } = args;
  const all = await proxmox.storages.list({ node, content }, call);
  const keyOf = ({ row }: ListedStorage) => `${row.storage} ${row.node}`;
  const options = { limit, cursor, args: { node, content }, fields: storageFields };
  const { shown, total, left, next } = page(all, keyOf, options);
  const { last, silence } = proxmox.lookup;
  // A shared one stands there with the node that knows it best.
  const nodes = all.map(({ row }) => row.node);
  const silent = last ? silence.among(nodes, last) : [];
  return {
    storages: [...shown],
    ...degradedBy(silent),
    total,
    left,
    ...(next && { cursor: next }),
  };
}

async function content(storage: string, args: Args, context: ToolContext): Promise<Result> {
  const { proxmox, call } = context;
  const vmid = args.guest === undefined ? undefined : await vmidOf(args.guest, context);
  const { volumes, unasked } = await proxmox.storages.content(storage, { node: args.node }, call);
  const places = unasked.map((one) => ({ storage, ...one }));
  return { storage, ...held(volumes, vmid, args), ...missingOf(places, proxmox.lookup) };
}

/** What a guest has on all storages of its node, backups too; on another node what it has left there. */
async function ofGuest(guest: string, args: Args, context: ToolContext): Promise<Result> {
  const { proxmox, call } = context;
  const { node, vmid } =
    args.node === undefined
      ? (await proxmox.lookup.guest(guest, "any", call)).row
      : { node: args.node, vmid: await vmidOf(guest, context) };
  const all = await proxmox.storages.list({ node, content: args.content }, call);
  const names = all.map((one) => one.row.storage);
  const outcomes = await context.each(names, (name) =>
    proxmox.storages.content(name, { node }, call),
  );
  const volumes = outcomes.flatMap((one) => (one.ok ? one.value.volumes : []));
  const failed = outcomes.flatMap((one, index): UnaskedStorage[] =>
    one.ok ? [] : [{ storage: names[index] ?? "", node, problem: one.problem }],
  );
  return { ...held(volumes, vmid, args), ...missingOf(failed, proxmox.lookup) };
}

function held(
  volumes: readonly Volume[],
  vmid: number | undefined,
  { storage, node, content, guest, limit, cursor }: Args,
) {
  const wanted = volumes.filter(
    (volume) =>
      (content === undefined || volume.content === content) &&
      (vmid === undefined || volume.vmid === vmid),
  );
  const options = { limit, cursor, args: { storage, node, content, guest }, fields: volumeFields };
  const keyOf = (volume: Volume) => `${volume.volid} ${volume.node}`;
  const { shown, total, left, next } = page(wanted, keyOf, options);
  return {
    volumes: [...shown],
    total,
    left,
    ...(next && { cursor: next }),
  };
}

/** A vmid counts as it is: what is looked for may be the backups of a guest that is gone. */
async function vmidOf(guest: string, { proxmox, call }: ToolContext): Promise<number> {
  if (/^[1-9][0-9]{2,8}$/.test(guest)) return Number(guest);
  return (await proxmox.lookup.guest(guest, "any", call)).row.vmid;
}

function storageFields({ row, status, nodes }: ListedStorage) {
  return {
    storage: row.storage,
    type: row.type,
    shared: row.shared || undefined,
    node: row.shared ? undefined : row.node,
    nodes: nodes && [...nodes],
    status,
    content: [...row.content],
    used_bytes: row.usedBytes,
    size_bytes: row.sizeBytes,
  };
}

function volumeFields(volume: Volume) {
  const { volid, content, format, sizeBytes, vmid, createdAt, notes } = volume;
  return {
    volid,
    node: volume.shared ? undefined : volume.node,
    content,
    format,
    size_bytes: sizeBytes,
    vmid,
    at:
      createdAt === undefined ? undefined : new Date(createdAt).toISOString().replace(".000Z", "Z"),
    notes: notes === undefined ? undefined : oneLine(notes, 60),
    protected: volume.protected || undefined,
  };
}

type StorageFields = ReturnType<typeof storageFields>;
type VolumeFields = ReturnType<typeof volumeFields>;

function showStorages({ storages = [], degraded = [], total, left, cursor }: Result): string {
  if (total === 0) return "No storage matches. list_storage without arguments shows all.";
  const rows = storages as readonly StorageFields[];
  const shown = table(rows, [
    { head: "storage", cell: (row) => row.storage },
    { head: "type", cell: (row) => row.type },
    { head: "node", cell: (row) => (row.shared ? (row.nodes?.join(" ") ?? "shared") : row.node) },
    { head: "status", cell: (row) => row.status },
    { head: "use", cell: use },
    { head: "content", cell: (row) => row.content.join(" ") },
  ]);
  const silent = degraded.map((one) => `\n${silenceWords(one as Degraded, "storages")}`);
  return `${count(total, "storage")}\n${shown}${silent.join("")}${more(left, cursor)}`;
}

function use({ used_bytes: used, size_bytes: size }: StorageFields): string | undefined {
  if (used === undefined || !size) return undefined;
  return `${bytes(used)} of ${bytes(size)} (${percent(used / size)})`;
}

/** `where`: the node whose storages were all asked. */
function showContent(
  { storage, volumes = [], degraded = [], unavailable = [], total, left, cursor }: Result,
  where: string,
): string {
  const rows = volumes as readonly VolumeFields[];
  const silent = missingLines(degraded, unavailable);
  const shown = table(rows, [
    { head: "volid", cell: (row) => row.volid },
    { head: "node", cell: (row) => row.node },
    { head: "content", cell: (row) => row.content },
    {
      head: "size",
      cell: (row) => (row.size_bytes === undefined ? undefined : bytes(row.size_bytes)),
    },
    { head: "guest", cell: (row) => row.vmid },
    { head: "made", cell: (row) => row.at?.slice(0, 16) },
    { head: "protected", cell: (row) => (row.protected ? "yes" : undefined) },
    { head: "notes", cell: (row) => row.notes },
  ]);
  const head = `${storage ?? `all storages of ${where}`}: ${total === 0 ? "nothing that matches" : count(total, "volume")}`;
  return [head, shown, ...silent].filter((line) => line !== "").join("\n") + more(left, cursor);
}

function more(left: number, cursor: string | undefined): string {
  return cursor ? `\n${left} more: repeat with cursor: "${cursor}".` : "";
}
