import { Problem } from "../../problem.ts";
import { guestWords } from "../api/values.ts";
import { conflict } from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import { storageOf } from "./volumes.ts";

/** Whether the guest owns it: names carry their owner, a linked clone's in its last part. */
export function isOwn({ vmid }: { readonly vmid: number }, volid: string): boolean {
  const name = volid.slice(Math.max(volid.lastIndexOf("/"), volid.indexOf(":")) + 1);
  return new RegExp(`^(?:vm|subvol|base|basevol)-${vmid}-`).test(name);
}

/** Throws for what belongs to others. Names carry their owner; one that is not in the configuration may be left over from a restore or a rescue. */
export function assertOwn(guest: Identified, volid: string): void {
  if (storageOf(volid) === undefined) {
    const { vmid, type, node } = guest;
    const who = `${guestWords(guest, guest.name)} on ${node}`;
    throw new Problem("not_found", `${who} has no unused disk ${volid.slice(0, 60)}.`, {
      next: "get_vm and get_container show its unused disks; list_storage shows volumes and images.",
      facts: { vmid, type, node, argument: "volume" },
    });
  }
  if (isOwn(guest, volid)) return;
  throw conflict(
    guest,
    `does not own ${volid.slice(0, 100)}`,
    "Attach its own unused disks, or an ISO image; what another guest uses is left to it.",
  );
}
