import * as z from "zod";
import type { Detail } from "../src/proxmox/guests/guest-details.ts";
import type { GuestView } from "../src/proxmox/guests/guests.ts";
import { bytes, count, duration, oneLine, percent } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { seenWords } from "./degraded.ts";
import * as params from "./params.ts";

const include = z
  .array(z.enum(["pending", "agent", "snapshots", "backups", "ha", "firewall"]))
  .optional()
  .describe("agent: addresses, OS, file systems; pending: waits for a restart");

const output = z.object({
  vmid: z.int(),
  name: z.string().optional(),
  node: z.string(),
  type: z.string(),
  status: z.string(),
  template: z.boolean(),
  lock: z.string().optional(),
  upid: z.string().optional(),
  tags: z.array(z.string()),
  usage: z.record(z.string(), z.unknown()),
  config: z.record(z.string(), z.unknown()).optional(),
  digest: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
  degraded: z.string().optional(),
  last_seen: z.string().optional(),
});

type Result = z.output<typeof output>;

export const getVm = defineTool({
  name: "get_vm",
  description:
    "One VM by name or vmid: state, use, disks, networks and options, from memory where that is fresh. Containers: get_container; several guests: list_guests.",
  effect: "read",
  input: z.object({ vm: params.vm, include, ...params.reading }),
  output,
  run: ({ vm, include }, context) => read(vm, "qemu", include ?? [], context),
  show,
});

export const getContainer = defineTool({
  name: "get_container",
  description: "One container by name or vmid, like get_vm.",
  effect: "read",
  input: z.object({ container: params.container, include, ...params.reading }),
  output,
  run: ({ container, include }, context) => read(container, "lxc", include ?? [], context),
  show,
});

async function read(
  reference: string,
  kind: "qemu" | "lxc",
  include: readonly Detail[],
  { proxmox, call, once }: ToolContext,
): Promise<z.input<typeof output>> {
  const view = await proxmox.guests.view(reference, kind, call);
  const known = { inventory: proxmox.lookup.last, silent: view.degraded };
  const details =
    include.length > 0 ? await proxmox.details.read(view.row, include, known, call) : undefined;
  return details ? fields(view, details) : once(view, () => fields(view, undefined));
}

function fields(view: GuestView, details: Result["details"]): z.input<typeof output> {
  const { row, config, current, name, lock, upid, degraded } = view;
  return {
    vmid: row.vmid,
    ...(name !== undefined && { name }),
    node: row.node,
    type: row.type,
    status: view.status,
    template: view.template,
    ...(lock !== undefined && { lock }),
    ...(upid !== undefined && { upid }),
    tags: [...view.tags],
    usage: {
      cpu: current?.cpu ?? row.cpu,
      cores: row.cores,
      memory_used_bytes: current?.memoryUsedBytes ?? row.memoryUsedBytes,
      memory_bytes: current?.memoryBytes ?? row.memoryBytes,
      disk_used_bytes: current?.diskUsedBytes ?? row.diskUsedBytes,
      disk_bytes: row.diskBytes,
      uptime_s: current?.uptimeS ?? row.uptimeS,
    },
    ...(config && { config: configFields(view, config) }),
    ...(config?.digest !== undefined && { digest: config.digest }),
    ...(details && { details }),
    ...(degraded && silence(degraded)),
  };
}

/** Why only its row could be had, and until when its node was there. */
function silence({ node, reason, lastSeen }: NonNullable<GuestView["degraded"]>) {
  const words =
    reason === "offline"
      ? `node ${node} is offline: this is what was last known`
      : `node ${node} ${reason}: this is what its row says`;
  const seen = lastSeen === undefined ? {} : { last_seen: new Date(lastSeen).toISOString() };
  return { degraded: words, ...seen };
}

function configFields({ row }: GuestView, config: NonNullable<GuestView["config"]>) {
  return {
    cores: config.cores,
    sockets: config.sockets,
    memory_mib: config.memoryMib,
    onboot: config.onboot,
    protection: config.protection,
    agent: row.type === "qemu" ? config.agent : undefined,
    pool: row.pool,
    ha: row.ha,
    notes: config.notes,
    disks: config.disks.map(({ sizeBytes, ...disk }) => ({ ...disk, size_bytes: sizeBytes })),
    nics: config.nics,
    options: config.options,
  };
}

function show(result: Result): string {
  const kind = result.type === "qemu" ? "VM" : "container";
  const name = result.name === undefined ? "" : ` ${result.name}`;
  const lock = result.lock === undefined ? "" : `, locked (${result.lock})`;
  const template = result.template ? " template" : "";
  return [
    `${kind}${template} ${result.vmid}${name} on ${result.node}: ${result.status}${up(result)}${lock}`,
    ...(result.upid ? [`A task works on it: ${result.upid}`] : []),
    ...(result.degraded
      ? [`Only partly known: ${result.degraded}${seenWords(result.last_seen)}.`]
      : []),
    ...usageLine(result),
    ...configLines(result),
    ...detailLines(result),
  ].join("\n");
}

function up({ status, usage }: Result): string {
  const uptime = usage["uptime_s"];
  return status !== "stopped" && typeof uptime === "number" && uptime > 0
    ? ` for ${duration(uptime)}`
    : "";
}

function usageLine({ status, usage }: Result): readonly string[] {
  const {
    cpu,
    cores,
    memory_used_bytes: used,
    memory_bytes: memory,
    disk_bytes: disk,
    disk_used_bytes: full,
  } = usage as Readonly<Record<string, number | undefined>>;
  if (memory === undefined) return [];
  const live = status !== "stopped" && status !== "unknown";
  const size = cores === undefined ? undefined : count(cores, "core");
  const parts = [
    live && cpu !== undefined ? `cpu ${percent(cpu)}${size ? ` of ${size}` : ""}` : size,
    live && used !== undefined
      ? `memory ${bytes(used)} of ${bytes(memory)}`
      : `memory ${bytes(memory)}`,
    disk ? `disk ${live && full ? `${bytes(full)} of ` : ""}${bytes(disk)}` : undefined,
  ];
  return [parts.filter((part) => part !== undefined).join(", ")];
}

interface ConfigFields {
  readonly pool?: string;
  readonly ha?: string;
  readonly notes?: string;
  readonly onboot: boolean;
  readonly protection: boolean;
  readonly disks: readonly {
    key: string;
    volid: string;
    size_bytes?: number;
    mountpoint?: string;
  }[];
  readonly nics: readonly Readonly<Record<string, string | number | boolean>>[];
  readonly options: Readonly<Record<string, string | number>>;
}

/** PVE's own marks of a VM: long, and nobody's question. They stand in the data. */
const marks = new Set(["meta", "smbios1", "vmgenid"]);

function configLines({ config, tags }: Result): readonly string[] {
  if (!config) return tags.length > 0 ? [`tags ${tags.join(" ")}`] : [];
  const { pool, ha, notes, onboot, protection, disks, nics, options } =
    config as unknown as ConfigFields;
  const facts = [
    ...(tags.length > 0 ? [`tags ${tags.join(" ")}`] : []),
    ...(pool ? [`pool ${pool}`] : []),
    ...(ha ? [`HA ${ha}`] : []),
    ...(onboot ? ["starts at boot"] : []),
    ...(protection ? ["protected"] : []),
  ];
  const told = Object.entries(options).filter(([key]) => !marks.has(key));
  const other = told.map(([key, value]) => `${key}=${oneLine(String(value), 60)}`);
  return [
    ...(facts.length > 0 ? [facts.join(", ")] : []),
    ...disks.map(diskLine),
    ...nics.map(nicLine),
    ...(other.length > 0 ? [`options: ${oneLine(other.join(" "), 600)}`] : []),
    ...(notes ? [`notes: ${oneLine(notes, 300)}`] : []),
  ];
}

function diskLine({
  key,
  volid,
  size_bytes: size,
  mountpoint,
}: ConfigFields["disks"][number]): string {
  const where = mountpoint === undefined ? "" : ` at ${mountpoint}`;
  return `${key}: ${volid}${size === undefined ? "" : ` ${bytes(size)}`}${where}`;
}

function nicLine({ key, ...nic }: Readonly<Record<string, string | number | boolean>>): string {
  const parts = Object.entries(nic).map(([name, value]) => `${name} ${value}`);
  return `${key}: ${parts.join(", ")}`;
}

function detailLines({ details }: Result): readonly string[] {
  return Object.entries(details ?? {}).map(([name, detail]) => {
    if (Array.isArray(detail) && detail.length === 0) return `${name}: none`;
    const { unavailable, next = "" } = detail as { unavailable?: string; next?: string };
    if (unavailable !== undefined) {
      return `${name}: not available: ${oneLine(`${unavailable} ${next}`, 500)}`;
    }
    return `${name}: ${oneLine(plain(detail), 1_200)}`;
  });
}

/** `{a: 1, b: [x]}` as `a 1, b x`: shorter than JSON, and as clear. */
function plain(value: unknown): string {
  if (Array.isArray(value)) return value.map(plain).join("; ");
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value)
    .map(([key, part]) => `${key} ${plain(part)}`)
    .join(", ");
}
