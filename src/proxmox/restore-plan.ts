import { path } from "../http/path.ts";
import { Problem } from "../problem.ts";
import type { GuestConfig } from "./guest-config.ts";
import type { Inventory, StorageRow } from "./inventory.ts";
import type { GuestType } from "./values.ts";
import type { ChangeRequest } from "./verbs.ts";
import type { Volume } from "./volumes.ts";

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
  /** For a new guest. */
  readonly name?: string;
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
      unique: over ? undefined : true,
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
  const from = config.disks.flatMap(({ key, storage, cdrom }) =>
    cdrom || storage === undefined || key.startsWith("unused") ? [] : [storage],
  );
  const gone = from.find((storage) => !fit.includes(storage) && knows(rows, storage, fit));
  if (gone !== undefined) throw unfit(`${node} has no storage ${gone} for its disks`, gone, fit);
  return type === "qemu" ? undefined : (from[0] ?? fit[0]);
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
