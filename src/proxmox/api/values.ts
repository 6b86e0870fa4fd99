/** PVE's dialect: what its strings and numbers mean. Wire names stay below this file, ours stand above it. */

export type GuestType = "qemu" | "lxc";

/** Which guests a reference may mean. */
export type GuestKind = GuestType | "any";

/** Who a guest is; name and node are only attributes. */
export interface GuestId {
  readonly type: GuestType;
  readonly vmid: number;
}

export type Wire = Readonly<Record<string, unknown>>;

/** A JSON object, else an empty one: PVE leaves out what it does not know. */
export function record(value: unknown): Wire {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Wire)
    : {};
}

/** A list of JSON objects; PVE sends null for some empty lists. */
export function records(value: unknown): readonly Wire[] {
  return Array.isArray(value) ? value.map(record) : [];
}

export function text(value: unknown): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  return typeof value === "number" ? String(value) : undefined;
}

/** Numbers come as numbers or as strings, some in scientific notation. */
export function number(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "string" || value.trim() === "") return undefined;
  const parsed = Number(value);
  return Number.isFinite(parsed) ? parsed : undefined;
}

/** Booleans come as 0, 1, "0", "1", true or false; absent is the default and not false. */
export function flag(value: unknown): boolean | undefined {
  if (typeof value === "boolean") return value;
  const parsed = number(value);
  return parsed === undefined ? undefined : parsed !== 0;
}

/** Tags are separated by `;` in answers; `,` and space are accepted in configurations. */
export function tagList(value: unknown): readonly string[] {
  return (text(value) ?? "").match(/[^;,\s]+/g) ?? [];
}

/**
 * A property string: `virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,tag=20`. Pieces without `=` are given under `defaultKey`.
 * PVE: pve-common src/PVE/JSONSchema.pm, parse_property_string.
 */
export function properties(value: string, defaultKey: string): Readonly<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const piece of value.split(",")) {
    if (piece === "") continue;
    const at = piece.indexOf("=");
    if (at < 0) result[defaultKey] = piece;
    else result[piece.slice(0, at)] = piece.slice(at + 1);
  }
  return result;
}

/**
 * The property string of these parts, in their order; `defaultKey` stands first and without its name. Parts that are undefined
 * are left out. The inverse of `properties`.
 */
export function propertyString(
  parts: Readonly<Record<string, string | number | boolean | undefined>>,
  defaultKey: string,
): string {
  const { [defaultKey]: first, ...rest } = parts;
  const pieces = Object.entries(rest)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${written(value)}`);
  return [...(first === undefined ? [] : [written(first)]), ...pieces].join(",");
}

/** PVE writes booleans as 0 and 1. */
function written(value: string | number | boolean | undefined): string {
  return typeof value === "boolean" ? (value ? "1" : "0") : String(value);
}

const units: Readonly<Record<string, number>> = { K: 1, M: 2, G: 3, T: 4, P: 5 };

/** `32G`, `528K`, `1.5T` or plain bytes, as bytes. */
export function sizeBytes(value: string | undefined): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)([KMGTP]?)$/.exec(value ?? "");
  if (!match?.[1]) return undefined;
  return Math.round(Number(match[1]) * 1024 ** (units[match[2] ?? ""] ?? 0));
}

/** What a UPID says. PVE: pve-common src/PVE/UPID.pm */
export interface Upid {
  readonly upid: string;
  /** The host that runs the worker: status and log are asked there. */
  readonly node: string;
  readonly startedAt: number;
  /** `qmstart`, `vzclone`, `download` … */
  readonly type: string;
  /** Mostly a vmid; a clone carries its *source*. */
  readonly id: string | undefined;
  readonly user: string;
}

const upidPattern =
  /^UPID:([a-zA-Z0-9][a-zA-Z0-9-]*):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$/;

/** The parts of a UPID, or undefined where the string is none. `startedAt` is in ms. */
export function parseUpid(upid: string): Upid | undefined {
  const match = upidPattern.exec(upid);
  if (!match) return undefined;
  const [, node = "", , , started = "0", type = "", id = "", user = ""] = match;
  return {
    upid,
    node,
    startedAt: Number.parseInt(started, 16) * 1000,
    type,
    id: id === "" ? undefined : id,
    user,
  };
}

/** The kind of a guest in people's words. */
export function kindWord(type: GuestType): string {
  return type === "qemu" ? "VM" : "container";
}

/** The name a guest has in PVE's eyes when its configuration gives none. PVE: QemuServer.pm vmstatus, LXC.pm vmstatus */
export function defaultName(id: GuestId): string {
  return id.type === "qemu" ? `VM ${id.vmid}` : `CT${id.vmid}`;
}

/** `VM 101 (web-1)`, `container 200`: the trusted number first, the people's name after it. */
export function guestWords(id: GuestId, name?: string | undefined): string {
  return `${kindWord(id.type)} ${id.vmid}${name === undefined ? "" : ` (${name})`}`;
}

/** Only what is there: absent is absent, never undefined. */
export function given<T extends Readonly<Record<string, unknown>>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
