import { path } from "../../http/path.ts";
import { fresh, tags } from "../api/freshness.ts";
import {
  defaultName,
  flag,
  type GuestId,
  type GuestType,
  given,
  number,
  records,
  tagList,
  text,
  type Wire,
} from "../api/values.ts";
import type { Question } from "../api/verbs.ts";

/** A guest as its row in /cluster/resources has it. Name, status, template and figures lag up to 10 s; the rest is live. */
export interface GuestRow extends GuestId {
  readonly node: string;
  readonly name?: string;
  readonly status: string;
  readonly lock?: string;
  readonly tags: readonly string[];
  readonly pool?: string;
  readonly template: boolean;
  readonly ha?: string;
  /** Fraction of all its cores, 0..1. */
  readonly cpu?: number;
  readonly cores?: number;
  readonly memoryUsedBytes?: number;
  readonly memoryBytes?: number;
  /** Containers only: PVE does not know how full a VM's disks are. */
  readonly diskUsedBytes?: number;
  readonly diskBytes?: number;
  readonly uptimeS?: number;
}

export interface NodeRow {
  readonly node: string;
  /** `online`, `offline`, or `unknown` while a host has not reported yet. */
  readonly status: string;
  readonly cpu?: number;
  readonly cores?: number;
  readonly memoryUsedBytes?: number;
  readonly memoryBytes?: number;
  readonly uptimeS?: number;
}

export interface StorageRow {
  readonly storage: string;
  readonly node: string;
  /** `dir`, `nfs`, `lvmthin`, `zfspool` … */
  readonly type?: string;
  readonly status: string;
  readonly shared: boolean;
  readonly content: readonly string[];
  readonly usedBytes?: number;
  readonly sizeBytes?: number;
}

/** One answer of /cluster/resources, indexed, never changed afterwards. */
export interface Inventory {
  /** Clock time in ms at which it was asked for. */
  readonly beganAt: number;
  /** How many rows our own changes had made old by then. */
  readonly order: number;
  /** In the order of their vmids: PVE's own order differs from answer to answer. */
  readonly guests: readonly GuestRow[];
  readonly byVmid: ReadonlyMap<number, GuestRow>;
  /** The row that carries this name, in lower case; the others of a name that several carry. */
  readonly byName: ReadonlyMap<string, GuestRow>;
  readonly namesakes: ReadonlyMap<string, readonly GuestRow[]>;
  /** Rows that carry no name: new guests, and guests of a host that went silent. */
  readonly nameless: readonly GuestRow[];
  readonly nodes: ReadonlyMap<string, NodeRow>;
  readonly storages: readonly StorageRow[];
}

/** Sorts the rows of one answer into an Inventory. PVE: GET /cluster/resources */
export function readInventory(data: unknown, beganAt: number, order = 0): Inventory {
  const guests: GuestRow[] = [];
  const nodes = new Map<string, NodeRow>();
  const storages: StorageRow[] = [];
  const tagsOf = sharedTags();
  for (const row of records(data)) {
    const type = row["type"];
    if (type === "qemu" || type === "lxc") guests.push(guestRow(row, type, tagsOf));
    else if (type === "node") nodes.set(text(row["node"]) ?? "", nodeRow(row));
    else if (type === "storage") storages.push(storageRow(row));
  }
  guests.sort((a, b) => a.vmid - b.vmid);
  const byVmid = new Map<number, GuestRow>();
  for (const guest of guests) byVmid.set(guest.vmid, guest);
  // Names are rarely borne by two: thousands of lists of one would take more than the rows themselves.
  const byName = new Map<string, GuestRow>();
  const namesakes = new Map<string, GuestRow[]>();
  for (const guest of guests) {
    if (guest.name === undefined) continue;
    const key = guest.name.toLowerCase();
    const others = namesakes.get(key);
    if (others) others.push(guest);
    else if (byName.has(key)) namesakes.set(key, [guest]);
    else byName.set(key, guest);
  }
  const nameless = guests.filter((guest) => guest.name === undefined);
  return { beganAt, order, guests, byVmid, byName, namesakes, nameless, nodes, storages };
}

/** A row's figures may be this much older than its answer: hosts publish every 10 s, and workers keep copies for 2 s. */
const figuresLagMs = 15_000;

/** Guests that are not what they were: gone, replaced, moved, or different in a way that a row shows. Names and states may lag. */
export function changedSince(before: Inventory, after: Inventory): readonly GuestRow[] {
  const elapsedMs = after.beganAt - before.beganAt;
  return before.guests.filter((row) => {
    const now = after.byVmid.get(row.vmid);
    return now !== row && (!now || differs(row, now) || hasRestarted(row, now, elapsedMs));
  });
}

/** Its uptime went back, and not only because an older copy has answered: then it would still be longer than the time between. */
function hasRestarted(a: GuestRow, b: GuestRow, elapsedMs: number): boolean {
  const { uptimeS = 0 } = b;
  return uptimeS < (a.uptimeS ?? 0) && uptimeS * 1000 <= elapsedMs + figuresLagMs;
}

function differs(a: GuestRow, b: GuestRow): boolean {
  return (
    a.type !== b.type ||
    a.node !== b.node ||
    a.status !== b.status ||
    a.lock !== b.lock ||
    a.name !== b.name ||
    a.pool !== b.pool ||
    a.template !== b.template ||
    a.tags.length !== b.tags.length ||
    a.tags.some((tag, index) => tag !== b.tags[index])
  );
}

/** Whether a host is known to be away. An unknown one is asked: it may only not have reported yet. */
export function isOffline(inventory: Inventory | undefined, node: string): boolean {
  return inventory?.nodes.get(node)?.status === "offline";
}

/** Thousands at a time, every ten seconds: fields are set one by one, as objects made of other objects cost many times the memory. */
function guestRow(row: Wire, type: GuestType, tagsOf: (text: unknown) => readonly string[]) {
  const vmid = number(row["vmid"]) ?? 0;
  const guest: { -readonly [Field in keyof GuestRow]: GuestRow[Field] } = {
    type,
    vmid,
    node: text(row["node"]) ?? "",
    status: text(row["status"]) ?? "unknown",
    tags: tagsOf(row["tags"]),
    template: flag(row["template"]) ?? false,
  };
  const name = text(row["name"]);
  // PVE invents a name where it knows none: for a guest without one, and for any that is being made. Its configuration tells.
  if (name !== undefined && name !== defaultName({ type, vmid })) guest.name = name;
  const lock = text(row["lock"]);
  if (lock !== undefined) guest.lock = lock;
  const pool = text(row["pool"]);
  if (pool !== undefined) guest.pool = pool;
  const ha = text(row["hastate"]);
  if (ha !== undefined) guest.ha = ha;
  for (const [field, key] of figures) {
    const figure = number(row[key]);
    if (figure !== undefined) guest[field] = figure;
  }
  const diskUsedBytes = type === "lxc" ? number(row["disk"]) : undefined;
  if (diskUsedBytes !== undefined) guest.diskUsedBytes = diskUsedBytes;
  return guest;
}

const figures = [
  ["cpu", "cpu"],
  ["cores", "maxcpu"],
  ["memoryUsedBytes", "mem"],
  ["memoryBytes", "maxmem"],
  ["diskBytes", "maxdisk"],
  ["uptimeS", "uptime"],
] as const;

/** Guests that bear the same tags share one list of them. */
function sharedTags(): (text: unknown) => readonly string[] {
  const lists = new Map<unknown, readonly string[]>();
  return (text) => {
    const known = lists.get(text) ?? tagList(text);
    lists.set(text, known);
    return known;
  };
}

function nodeRow(row: Wire): NodeRow {
  return {
    node: text(row["node"]) ?? "",
    status: text(row["status"]) ?? "unknown",
    ...given({
      cpu: number(row["cpu"]),
      cores: number(row["maxcpu"]),
      memoryUsedBytes: number(row["mem"]),
      memoryBytes: number(row["maxmem"]),
      uptimeS: number(row["uptime"]),
    }),
  };
}

function storageRow(row: Wire): StorageRow {
  return {
    storage: text(row["storage"]) ?? "",
    node: text(row["node"]) ?? "",
    status: text(row["status"]) ?? "unknown",
    shared: flag(row["shared"]) ?? false,
    content: (text(row["content"]) ?? "")
      .split(",")
      .filter((kind) => kind !== "")
      .sort(),
    ...given({
      type: text(row["plugintype"]),
      usedBytes: number(row["disk"]),
      sizeBytes: number(row["maxdisk"]),
    }),
  };
}

/** PVE: GET /cluster/resources, unfiltered: guests, nodes, storages and pools in one answer. `order`: as it is when this is asked. */
export function inventoryQuestion(order: number): Question<Inventory> {
  return {
    path: path`/cluster/resources`,
    freshness: fresh("inventory", tags.inventory),
    parse: (data, { beganAt }) => readInventory(data, beganAt, order),
  };
}
