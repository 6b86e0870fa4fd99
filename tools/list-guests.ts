import * as z from "zod";
import type { SilentNode } from "../src/proxmox/cluster/silence.ts";
import type { GuestFilter, ListedGuest } from "../src/proxmox/guests/guests.ts";
import { bytes, count, duration, percent, table } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import {
  type AllTold,
  addressFields,
  ask,
  having,
  movedOnes,
  silentBy,
  type Unasked,
  unasked,
  unaskedWords,
} from "./addresses.ts";
import { type Degraded, degradedBy, silenceWords } from "./degraded.ts";
import { strangers } from "./no-match.ts";
import { type PageOptions, page } from "./page.ts";
import * as params from "./params.ts";

const input = z.object({
  name: z.string().min(1).max(100).optional().describe("glob: web-*"),
  tag: z.string().min(1).max(100).optional(),
  pool: z.string().min(1).max(100).optional(),
  node: params.node.optional(),
  status: z.string().min(1).max(30).optional().describe("running, stopped, paused …"),
  type: z.enum(["qemu", "lxc"]).optional(),
  ip: z.string().max(45).optional().describe("who has this address; asks all that run"),
  addresses: z.boolean().optional().describe("IP addresses instead of use"),
  managed: z.boolean().optional().describe("made by this server, or not"),
  sort: z.enum(["cpu", "memory", "disk", "uptime"]).optional().describe("highest first"),
  limit: params.limit,
  cursor: params.cursor,
  ...params.reading,
});

const output = z.object({
  guests: z.array(z.unknown()),
  hints: z.array(z.string()).optional(),
  unasked: z.record(z.string(), z.array(z.int())).optional(),
  degraded: z.array(z.unknown()).optional(),
  total: z.int(),
  left: z.int(),
  cursor: z.string().optional(),
});

/** The figure to sort by; guests without it come last. */
const figures = {
  cpu: ({ row }: ListedGuest) => (row.cpu ?? 0) * (row.cores ?? 1),
  memory: ({ row }: ListedGuest) => row.memoryUsedBytes ?? 0,
  disk: ({ row }: ListedGuest) => row.diskUsedBytes ?? row.diskBytes ?? 0,
  uptime: ({ row }: ListedGuest) => row.uptimeS ?? 0,
};

const all = "Without any filter list_guests shows all that these credentials may see.";

export const listGuests = defineTool({
  name: "list_guests",
  description:
    "Finds VMs and containers of the whole cluster by name, tag, pool, node, status, type or IP address, and sorts them by use. Rows lag up to 10 s; get_vm and get_container give one in detail.",
  effect: "read",
  input,
  output,
  async run(args, context) {
    const { proxmox, call } = context;
    const { limit, cursor, max_age_s: _age, sort, managed, ip, addresses, ...filter } = args;
    const matching = await proxmox.guests.list(filter, call);
    const wanted = matching.filter(
      ({ row }) => managed === undefined || row.tags.includes(proxmox.managedTag) === managed,
    );
    const found =
      ip === undefined ? undefined : await having({ ip, node: filter.node }, wanted, context);
    const figure = sort && figures[sort];
    const all = found?.guests ?? wanted;
    const sorted = figure ? all.toSorted((a, b) => figure(b) - figure(a)) : all;
    const options = { limit, cursor, args: { ...filter, sort, managed, ip, addresses } };
    const { items, shown, total, left, next, told } =
      addresses || found
        ? await withAddresses(sorted, options, found?.told, filter.node, context)
        : { ...page(sorted, keyOf, { ...options, fields: withUse(sort) }), told: undefined };
    proxmox.guests.tell(items);
    const hints = total === 0 && !found ? whyNone(filter, context) : [];
    return {
      guests: [...shown],
      ...(hints.length > 0 && { hints: [...hints] }),
      ...(told && someReasons(unasked(told))),
      ...degradedBy(silentNodes(filter, told, wanted, context)),
      total,
      left,
      ...(next && { cursor: next }),
    };
  },
  show({ guests, hints = [], unasked: reasons, degraded = [], total, left, cursor }) {
    const rest = [
      ...(reasons ? [unaskedWords(reasons)] : []),
      ...degraded.map((one) => silenceWords(one as Degraded, "guests")),
    ];
    if (total === 0)
      return ["No guest matches.", ...(hints.length > 0 ? hints : [all]), ...rest].join("\n");
    const rows = guests as readonly Listed[];
    const more = cursor ? `\n${count(left, "more guest")}: repeat with cursor: "${cursor}".` : "";
    return [`${count(total, "guest")}\n${table(rows, columns)}${more}`, ...rest].join("\n");
  },
});

/** Of what is in memory: no request. */
function whyNone(filter: GuestFilter, { proxmox }: ToolContext) {
  const nodes = [...(proxmox.lookup.last?.nodes.keys() ?? [])];
  return strangers(filter, proxmox.guests.known({}), nodes);
}

function keyOf({ row }: ListedGuest): string {
  return String(row.vmid);
}

/** Only the guests of one page are asked, where not all were; what they tell may make it shorter. */
async function withAddresses(
  guests: readonly ListedGuest[],
  options: Omit<PageOptions<ListedGuest, Listed>, "fields">,
  known: AllTold | undefined,
  node: string | undefined,
  context: ToolContext,
) {
  const first = () => page(guests, keyOf, { ...options, fields: place }).items;
  const told = known ?? (await ask(first(), context));
  const fields = (guest: ListedGuest) => ({
    ...place(guest),
    ...addressFields(told.get(guest.row.vmid)),
  });
  return { ...page(movedOnes(guests, told, node), keyOf, { ...options, fields }), told };
}

/**
 * Nodes of which only old news could be told. Rows of a silent node lose their names and states: what is asked for by these may stand
 * there all the same.
 */
function silentNodes(
  { name: _name, status: _status, ...filter }: GuestFilter,
  told: AllTold | undefined,
  wanted: readonly ListedGuest[],
  { proxmox }: ToolContext,
): readonly SilentNode[] {
  const known = proxmox.guests.silent(proxmox.guests.known(filter));
  const more = told ? silentBy(told, wanted) : [];
  return [...known, ...more.filter(({ node }) => !known.some((one) => one.node === node))];
}

function someReasons(reasons: Unasked): { unasked?: Record<string, number[]> } {
  return Object.keys(reasons).length > 0 ? { unasked: reasons } : {};
}

/** Who and where it is. */
function place({ row, name, lock }: ListedGuest) {
  return {
    vmid: row.vmid,
    name,
    type: row.type,
    node: row.node,
    status: row.status,
    lock,
    template: row.template || undefined,
    tags: row.tags.length > 0 ? row.tags : undefined,
    pool: row.pool,
    ha: row.ha,
  };
}

/** Disks only where they were asked about: 25 guests with all their figures would be more than an agent can afford. */
function withUse(sort: keyof typeof figures | undefined) {
  return (guest: ListedGuest) => {
    const { row } = guest;
    const off = row.status === "stopped";
    return {
      ...place(guest),
      cpu: off || row.cpu === undefined ? undefined : Math.round(row.cpu * 1_000) / 1_000,
      cores: row.cores,
      memory_used_bytes: off ? undefined : row.memoryUsedBytes,
      memory_bytes: row.memoryBytes,
      disk_used_bytes: sort === "disk" ? row.diskUsedBytes : undefined,
      disk_bytes: sort === "disk" ? row.diskBytes : undefined,
      uptime_s: off ? undefined : row.uptimeS,
    };
  };
}

type Listed = ReturnType<typeof place> &
  Partial<Omit<ReturnType<ReturnType<typeof withUse>>, keyof ReturnType<typeof place>>> &
  Partial<ReturnType<typeof addressFields>>;

const columns = [
  { head: "vmid", cell: (row: Listed) => String(row.vmid) },
  { head: "name", cell: (row: Listed) => row.name },
  { head: "type", cell: (row: Listed) => (row.template ? `${row.type} template` : row.type) },
  { head: "node", cell: (row: Listed) => row.node },
  {
    head: "status",
    cell: (row: Listed) => (row.lock ? `${row.status}, locked: ${row.lock}` : row.status),
  },
  {
    head: "cpu",
    cell: (row: Listed) =>
      row.status === "running" && row.cpu !== undefined
        ? `${percent(row.cpu)} of ${row.cores}`
        : undefined,
  },
  { head: "memory", cell: memory },
  { head: "disk", cell: disk },
  { head: "up", cell: (row: Listed) => (row.uptime_s ? duration(row.uptime_s) : undefined) },
  {
    head: "addresses",
    cell: ({ addresses, more_addresses: more }: Listed) =>
      addresses && `${addresses.join(" ")}${more ? ` and ${more} more` : ""}`,
  },
  { head: "tags", cell: (row: Listed) => row.tags?.join(" ") },
  { head: "pool", cell: (row: Listed) => row.pool },
];

function memory(row: Listed): string | undefined {
  if (row.memory_bytes === undefined) return undefined;
  const used = row.status === "running" ? `${bytes(row.memory_used_bytes ?? 0)} of ` : "";
  return `${used}${bytes(row.memory_bytes)}`;
}

function disk(row: Listed): string | undefined {
  if (row.disk_bytes === undefined) return undefined;
  const used = row.disk_used_bytes === undefined ? "" : `${bytes(row.disk_used_bytes)} of `;
  return `${used}${bytes(row.disk_bytes)}`;
}
