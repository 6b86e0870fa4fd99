import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import { type Disk, type GuestConfig, isCloudInit } from "../api/guest-config.ts";
import type { GuestType } from "../api/values.ts";
import type { ChangeRequest } from "../api/verbs.ts";
import type { Inventory, StorageRow } from "../cluster/inventory.ts";
import { freeOf, hasRoom, noRoom } from "../storage/room.ts";
import type { Volume } from "../storage/volumes.ts";

/** A backup with what is in it. */
export interface Archive {
  readonly volume: Volume;
  readonly type: GuestType;
  readonly config: GuestConfig;
}

export interface RestoreOrder {
  readonly archive: Archive;
  readonly vmid: number;
  readonly node: string;
  readonly storage: string | undefined;
  readonly start: boolean | undefined;
  /** Writes over the guest that has this vmid. */
  readonly over: boolean;
  /** The guest written over is not the one that was backed up. */
  readonly other?: boolean;
  /** Else it is called as in the backup. */
  readonly name?: string | undefined;
  /** For a new guest. */
  readonly tags?: readonly string[];
}

/** PVE: POST /nodes/{node}/qemu with `archive`, POST /nodes/{node}/lxc with `restore` */
export function restoreRequest(order: RestoreOrder): ChangeRequest {
  const { archive, vmid, node, storage, start, over, name, tags } = order;
  const { volid } = archive.volume;
  const vm = archive.type === "qemu";
  return {
    method: "POST",
    path: path`/nodes/${node}/${archive.type}`,
    params: {
      vmid,
      ...(vm ? { archive: volid } : { ostemplate: volid, restore: true }),
      storage,
      force: over || undefined,
      // Beside the guest it was, it must not have its addresses.
      unique: over && !order.other ? undefined : true,
      [vm ? "name" : "hostname"]: name,
      tags: tags?.join(";"),
      start: start || undefined,
    },
  };
}

/**
 * Where the disks go, undefined where each goes to the storage it came from. Throws `conflict` where that can't be, before anything
 * is destroyed: PVE notices it in the task only. A container's disks go to one storage, and PVE guesses it badly (`local`).
 */
export function storageFor(
  { type, config }: Archive,
  node: string,
  wished: string | undefined,
  inventory: Inventory,
): string | undefined {
  const content = type === "qemu" ? "images" : "rootdir";
  const rows = inventory.storages.filter((row) => row.node === node);
  const fit = rows.filter((row) => row.content.includes(content)).map((row) => row.storage);
  if (wished !== undefined) {
    if (fit.includes(wished)) return wished;
    throw unfit(`Storage ${wished} of ${node} does not hold disks of this kind`, wished, fit);
  }
  const from = restored(config).flatMap(({ storage }) => storage ?? []);
  const gone = from.find((storage) => !fit.includes(storage) && knows(rows, storage, fit));
  if (gone !== undefined) throw unfit(`${node} has no storage ${gone} for its disks`, gone, fit);
  return type === "qemu" ? undefined : (from[0] ?? fit[0]);
}

/** What an archive brings back: other CDs are only named again. PVE: QemuServer.pm (parse_backup_hints) */
function restored({ disks }: GuestConfig): readonly Disk[] {
  return disks.filter(
    ({ key, cdrom, volid }) => !key.startsWith("unused") && (!cdrom || isCloudInit(volid)),
  );
}

interface Room {
  readonly archive: Archive;
  readonly node: string;
  /** Where all disks go; undefined: each to where it was. */
  readonly storage: string | undefined;
  /** The caller has named it, and may want more of a thin one than is free. */
  readonly named: boolean;
  /** Disks that are written over: what they take is free by then. */
  readonly replaced?: readonly Disk[];
}

/**
 * Throws `conflict` where the disks don't fit: PVE notices it in the task, when what was there before is gone. Answers what is short
 * where the caller has named the storage.
 */
export function roomFor(
  { archive, node, storage, named, replaced = [] }: Room,
  { storages }: Inventory,
): string | undefined {
  const needed = sizes(restored(archive.config), storage);
  const given = sizes(replaced);
  for (const [name, bytesNeeded] of needed) {
    const row = storages.find((one) => one.storage === name && one.node === node);
    if (!row) continue;
    const sizeBytes = Math.max(0, bytesNeeded - (given.get(name) ?? 0));
    const space = { storage: name, argument: "storage", sizeBytes };
    if (!hasRoom(row, space, named)) throw noRoom(space, [row], elsewhere(name, named));
    const free = freeOf(row);
    if (free !== undefined && free < sizeBytes) {
      return `only ${bytes(free)} are free on ${name} for its ${bytes(sizeBytes)}`;
    }
  }
  return undefined;
}

function sizes(disks: readonly Disk[], all?: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { storage, sizeBytes = 0 } of disks) {
    const where = all ?? storage;
    if (where !== undefined) sums.set(where, (sums.get(where) ?? 0) + sizeBytes);
  }
  return sums;
}

function elsewhere(storage: string, named: boolean): string {
  const other = "Name another one as storage (list_storage shows what is free)";
  return named ? `${other}.` : `${other}; or ${storage} itself, if it may take more than is free.`;
}

/** Where no storage is seen at all, PVE has to judge. */
function knows(rows: readonly StorageRow[], storage: string, fit: readonly string[]): boolean {
  return fit.length > 0 || rows.some((row) => row.storage === storage);
}

function unfit(what: string, storage: string, fit: readonly string[]): Problem {
  return new Problem("conflict", `${what}. Nothing was sent.`, {
    next:
      fit.length === 0
        ? "Choose another node, or a storage that there is (list_storage)."
        : `Name one that does as storage: ${[...fit].sort().join(", ")}.`,
    facts: { argument: "storage", storage, storages: fit },
  });
}
