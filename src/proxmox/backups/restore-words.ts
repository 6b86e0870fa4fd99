import type { Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import { guestWords } from "../api/values.ts";
import type { GuestRow } from "../cluster/inventory.ts";
import { conflict } from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import type { Volume } from "../storage/volumes.ts";
import type { Archive } from "./restore-plan.ts";

/** `the backup of VM 101 (web-1) of 2025-12-31 02:10 UTC` */
export function words({ volume, type, config }: Archive): string {
  const of = guestWords({ type, vmid: volume.vmid ?? 0 }, config.name);
  return `the backup of ${of} of ${stamp(volume)}`;
}

/** The guest that is written over is another one than the backup was made of: its addresses are not its own. */
export function isOther(guest: Identified, { volume }: Archive): boolean {
  return volume.vmid !== guest.vmid;
}

/** `it is called web-1 then, with new MAC addresses`; undefined where neither changes for it. */
export function afterwards(
  guest: Identified,
  archive: Archive,
  name: string | undefined,
): string | undefined {
  const called = name === guest.name ? undefined : `is called ${name ?? "nothing"} then`;
  const addresses = isOther(guest, archive) ? "has new MAC addresses" : undefined;
  const all = [called, addresses].filter((text) => text !== undefined);
  return all.length === 0 ? undefined : `it ${all.join(" and ")}`;
}

function stamp({ createdAt }: Volume): string {
  const iso = createdAt === undefined ? "" : new Date(createdAt).toISOString();
  return iso === "" ? "unknown time" : `${iso.slice(0, 16).replace("T", " ")} UTC`;
}

/** Two guests of one name help nobody. A guest keeps its own, whoever else has it. */
export function nameTaken(
  guest: Identified,
  name: string | undefined,
  holders: readonly GuestRow[],
): readonly Problem[] {
  const holder = holders.find(({ vmid }) => vmid !== guest.vmid);
  if (!holder || name === guest.name) return [];
  const what = `would be called ${name} like ${guestWords(holder)} on ${holder.node}, which is there`;
  return [conflict(guest, what, "Give it another name with name, or leave guest out.")];
}

/** What is gone when a guest is written over, one phrase each. */
export function losses(
  guest: Identified,
  archive: Archive,
  name: string | undefined,
): readonly string[] {
  const { volume, config } = archive;
  const disks = guest.config.disks.filter(({ cdrom, volid }) => !cdrom && volid !== "none");
  const then = afterwards(guest, archive, name);
  const other = isOther(guest, archive) || config.name !== guest.name;
  return [
    ...disks.map(({ key, volid, sizeBytes }) => {
      const size = sizeBytes === undefined ? "" : ` (${bytes(sizeBytes)})`;
      return `disk ${key}: ${volid}${size}`;
    }),
    other
      ? `its configuration, its snapshots and all that is on it: it becomes what ${words(archive)} holds, another guest`
      : `its configuration and its snapshots; everything since ${stamp(volume)}`,
    ...(then === undefined ? [] : [`its name and addresses: ${then}`]),
  ];
}
