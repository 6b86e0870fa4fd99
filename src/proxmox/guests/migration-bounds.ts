import type { Problem } from "../../problem.ts";
import { flag, properties } from "../api/values.ts";
import type { Inventory } from "../cluster/inventory.ts";
import { conflict } from "./changes.ts";
import type { Identified } from "./identity.ts";
import type { Conditions } from "./migration-conditions.ts";

type Reason = readonly [what: string, next: string];

/** What PVE would abort for, mostly in the task only. */
export function bound(
  guest: Identified,
  conditions: Conditions,
  inventory: Inventory,
): readonly Problem[] {
  const found =
    guest.type === "qemu"
      ? boundVm(guest, conditions, inventory)
      : boundContainer(guest, inventory);
  return found.map(([what, next]) => conflict(guest, what, next));
}

export function isRunning({ status }: Identified): boolean {
  return status !== undefined && status.status !== "stopped";
}

/** PVE: qemu-server src/PVE/QemuMigrate.pm (prepare, scan_local_volumes) */
function boundVm(
  guest: Identified,
  { localDisks, localCds, devices, notLive }: Conditions,
  inventory: Inventory,
): readonly Reason[] {
  const live = isRunning(guest);
  const off = `Shut it down first: stop_guest {guest: "${guest.vmid}"}.`;
  const found: Reason[] = [];
  if (devices.length > 0) {
    found.push([`uses devices of its host (${devices.join(", ")})`, "Take them off first."]);
  }
  if (live && notLive.length > 0) {
    found.push([`uses mapped devices (${notLive.join(", ")}) that can't move live`, off]);
  }
  const [cd] = localCds;
  if (cd !== undefined) {
    const drive = guest.config.disks.find(({ volid }) => volid === cd)?.key ?? "its drive";
    const eject = `update_guest {guest: "${guest.vmid}", set: {${drive}: "none,media=cdrom"}}`;
    found.push([
      `has a CD in ${drive} that lies on ${guest.node} alone (${cd})`,
      `Take it out first: ${eject}.`,
    ]);
  }
  const stuck = localDisks.find((volid) => live || !carriesSnapshots(volid, guest, inventory));
  return [...found, ...boundBySnapshots(guest, stuck, live)];
}

/**
 * PVE 9 answers no conditions for these, and stops the container before it looks at snapshots.
 * PVE: pve-container src/PVE/LXC/Migrate.pm (prepare, phase1)
 */
function boundContainer(guest: Identified, inventory: Inventory): readonly Reason[] {
  const { disks, raw } = guest.config;
  const isShared = (key: string) => flag(properties(raw[key] ?? "", "volume")["shared"]) === true;
  const own = disks.filter(({ volid, key }) => volid.startsWith("/") && !isShared(key));
  const keys = own.map(({ key, volid }) => `${key}: ${volid}`).join(", ");
  const { vmid } = guest;
  const key = own[0]?.key;
  const next = `Take it off (detach_disk {guest: "${vmid}", disk: "${key}"}); or, where every node has the same there, have root add shared=1 to it on the host (pct set ${vmid} -${key} …,shared=1).`;
  const stuck = disks.find(
    ({ volid, storage }) =>
      rowOf(storage, guest, inventory)?.shared === false &&
      !carriesSnapshots(volid, guest, inventory),
  );
  return [
    ...(own.length > 0
      ? [[`mounts directories or devices of its host (${keys})`, next] as const]
      : []),
    ...boundBySnapshots(guest, stuck?.volid, false),
  ];
}

function boundBySnapshots(
  guest: Identified,
  stuck: string | undefined,
  live: boolean,
): readonly Reason[] {
  if (guest.config.options["parent"] === undefined || stuck === undefined) return [];
  const next = `Remove its snapshots first (delete_snapshot)${live ? ", or shut it down where its storage can carry them" : ""}.`;
  return [[`has snapshots on local disks (${stuck}) that can't go along`, next]];
}

/** Snapshots go along offline, and only with ZFS, btrfs and a VM's qcow2. */
function carriesSnapshots(volid: string, guest: Identified, inventory: Inventory): boolean {
  const type = rowOf(volid.split(":")[0], guest, inventory)?.type;
  return volid.endsWith(".qcow2") || ["zfspool", "btrfs", undefined].includes(type);
}

function rowOf(storage: string | undefined, { node }: Identified, { storages }: Inventory) {
  return storages.find((one) => one.storage === storage && one.node === node);
}
