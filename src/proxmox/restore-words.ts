import { bytes } from "../text.ts";
import type { Identified } from "./identity.ts";
import type { Archive } from "./restore-plan.ts";
import { guestWords } from "./values.ts";
import type { Volume } from "./volumes.ts";

/** `the backup of VM 101 (web-1) of 2025-12-31 02:10 UTC` */
export function words({ volume, type, config }: Archive): string {
  const of = guestWords({ type, vmid: volume.vmid ?? 0 }, config.name);
  return `the backup of ${of} of ${stamp(volume)}`;
}

function stamp({ createdAt }: Volume): string {
  const iso = createdAt === undefined ? "" : new Date(createdAt).toISOString();
  return iso === "" ? "unknown time" : `${iso.slice(0, 16).replace("T", " ")} UTC`;
}

/** What is gone when a guest is written over, one phrase each. */
export function losses(guest: Identified, archive: Archive): readonly string[] {
  const { volume, config } = archive;
  const disks = guest.config.disks.filter(({ cdrom, volid }) => !cdrom && volid !== "none");
  const other = volume.vmid !== guest.vmid || config.name !== guest.name;
  return [
    ...disks.map(({ key, volid, sizeBytes }) => {
      const size = sizeBytes === undefined ? "" : ` (${bytes(sizeBytes)})`;
      return `disk ${key}: ${volid}${size}`;
    }),
    other
      ? `its configuration, its snapshots and all that is on it: it becomes what ${words(archive)} holds, another guest`
      : `its configuration and its snapshots; everything since ${stamp(volume)}`,
  ];
}
