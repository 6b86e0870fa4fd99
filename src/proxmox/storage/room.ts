import { Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import type { StorageRow } from "../cluster/inventory.ts";

/** What is needed of a storage. `argument`: what has named it, for messages. */
export interface Space {
  readonly storage: string;
  readonly argument: string;
  /** Of all that goes there. */
  readonly sizeBytes?: number;
}

/** Undefined where Proxmox does not tell. */
export function freeOf({ sizeBytes, usedBytes = 0 }: StorageRow): number | undefined {
  return sizeBytes === undefined || sizeBytes === 0
    ? undefined
    : Math.max(0, sizeBytes - usedBytes);
}

/** Thin storages take more than they have; who names the node may want that, though never a disk larger than all of it. */
export function hasRoom(row: StorageRow, { sizeBytes = 0 }: Space, named: boolean): boolean {
  const free = freeOf(row);
  return free === undefined || sizeBytes <= (named ? (row.sizeBytes ?? free) : free);
}

export function noRoom(
  { storage, argument, sizeBytes = 0 }: Space,
  rows: readonly StorageRow[],
  next: string,
): Problem {
  const [best] = rows.toSorted((a, b) => (freeOf(b) ?? 0) - (freeOf(a) ?? 0));
  const free = (best && freeOf(best)) ?? 0;
  const message = `Storage ${storage} has no room for ${bytes(sizeBytes)}: at most ${bytes(free)} are free (${best?.node}). Nothing was sent.`;
  return new Problem("conflict", message, {
    next,
    facts: { argument, storage, neededBytes: sizeBytes, freeBytes: free },
  });
}
