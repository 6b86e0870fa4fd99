import { path } from "../../http/path.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { number, records, text } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { GuestRow, Inventory } from "../cluster/inventory.ts";
import { configQuestion } from "../cluster/lookup.ts";
import { contentQuestion, type Volume } from "./volumes.ts";

/** A volume of a local storage whose owner lives on another node, where a volume of that name would be another one. */
export interface Namesake {
  readonly volume: Volume;
  readonly owner: GuestRow;
  /** `VM 101 (web-1) on pve1` */
  readonly who: string;
  /** What the owner has that name in, one phrase each: its configuration, its snapshots. */
  readonly uses: readonly string[];
}

/**
 * Why the volume may be the owner's all the same; empty where the owner has one of its own by that name, or none. One that is on its
 * way here or replicated here is the owner's; so is the only one of that name, as after a configuration was moved by hand; and two of
 * one size and time are one file where a storage is shared and nobody has told Proxmox.
 */
export async function mayBeTheOwners(
  { volume, owner, who, uses }: Namesake,
  inventory: Inventory,
  verbs: Verbs,
  call: Call,
): Promise<readonly string[]> {
  const { node, volid } = volume;
  const { lock } = await verbs.live(call, configQuestion(owner));
  if (lock !== undefined) return [`${who} is locked (${lock}) and may be on its way to ${node}`];
  const jobs = await verbs.live(call, replicationQuestion);
  if (jobs.some(({ vmid, target }) => vmid === owner.vmid && target === node)) {
    return [`${who} is replicated to ${node}`];
  }
  if (uses.length === 0) return [];
  const row = inventory.storages.find(
    (one) => one.storage === volume.storage && one.node === owner.node,
  );
  const there = row ? await verbs.live(call, contentQuestion(row)) : [];
  const twin = there.find((one) => one.volid === volid);
  if (!twin) return uses.map((use) => `${use}, and ${owner.node} itself has none of that name`);
  const { createdAt, sizeBytes } = volume;
  const same = createdAt !== undefined && createdAt === twin.createdAt;
  if (!same || sizeBytes !== twin.sizeBytes) return [];
  return uses.map((use) => `${use}, and what ${owner.node} has of that name may be the same file`);
}

/** PVE: GET /cluster/replication: a replica has the name of what it was made of. */
const replicationQuestion = {
  path: path`/cluster/replication`,
  freshness: fresh("never", tags.cluster),
  parse: (data: unknown) =>
    records(data).map((job) => ({ vmid: number(job["guest"]), target: text(job["target"]) })),
};
