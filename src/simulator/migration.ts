import type { Cluster } from "./cluster.ts";
import { disksOf, isCloudinit } from "./guest-config.ts";
import { findVolume } from "./guests.ts";
import { readProperties } from "./property-string.ts";
import { TaskFailure } from "./tasks.ts";
import { allocate, onNode } from "./volumes.ts";
import { type Config, type Guest, type Volume, volumeKey } from "./world.ts";

/** A volume of a guest that lies on a storage of its node alone. */
export interface LocalDisk {
  readonly volid: string;
  readonly key: string;
  readonly cdrom: boolean;
  readonly unused: boolean;
  readonly inSnapshot: boolean;
  readonly volume: Volume | undefined;
}

/** Local volumes that config and snapshots name, drives and unused ones (PVE::API2::Qemu check_vm_disks_local). */
export function localDisks(cluster: Cluster, guest: Guest): LocalDisk[] {
  const found = new Map<string, LocalDisk>();
  for (const [config, inSnapshot] of sections(guest)) {
    for (const { key, volid, cdrom, unused } of drives(guest, config)) {
      const storage = cluster.world.storages.get(volid.split(":")[0] ?? "");
      if (!storage || storage.shared || !volid.includes(":")) continue;
      const before = found.get(volid);
      const volume = findVolume(cluster, volid, guest.node);
      const fresh = { volid, key, cdrom, unused, inSnapshot, volume };
      found.set(volid, before ? { ...before, inSnapshot: before.inSnapshot || inSnapshot } : fresh);
    }
  }
  return [...found.values()];
}

function sections(guest: Guest): (readonly [Config, boolean])[] {
  const then = guest.snapshots.map(({ config }) => [config, true] as const);
  return [[guest.config, false], ...then];
}

function drives(guest: Guest, config: Config) {
  const attached = disksOf(guest.type, config).map(({ key, volid, cdrom }) => ({
    key,
    volid,
    cdrom,
    unused: false,
  }));
  const detached = Object.entries(config)
    .filter(([key]) => /^unused\d+$/.test(key))
    .map(([key, volid]) => ({ key, volid, cdrom: false, unused: true }));
  return [...attached, ...detached];
}

/** Storages of a guest that a node does not have (PVE::QemuServer check_local_storage_availability). */
export function missingStorages(cluster: Cluster, guest: Guest, node: string): string[] {
  const used = new Set(
    drives(guest, guest.config)
      .filter(({ volid }) => volid.includes(":"))
      .map(({ volid }) => volid.split(":")[0] ?? ""),
  );
  return [...used].sort().filter((id) => {
    const storage = cluster.world.storages.get(id);
    return storage !== undefined && (storage.disabled || !onNode(storage, node));
  });
}

/** Devices of the host that a guest uses: raw ones bind it to its node, mapped ones to nodes with the mapping. */
export function localResources(guest: Guest): {
  readonly raw: string[];
  readonly mapped: string[];
} {
  const raw: string[] = [];
  const mapped: string[] = [];
  for (const [key, value] of Object.entries(guest.config)) {
    const device = /^(?:hostpci|usb|serial|parallel)\d+$|^ivshmem$/.test(key);
    if (!device || /^spice(?!,)/.test(value) || (key.startsWith("serial") && value === "socket")) {
      continue;
    }
    const { mapping } = readProperties(value, "host");
    if (mapping === undefined) raw.push(key);
    else mapped.push(key);
  }
  return { raw: raw.sort(), mapped: mapped.sort() };
}

/** Ends the worker for what cannot go along (PVE::QemuMigrate prepare, scan_local_volumes). */
export function refuseImmovable(
  cluster: Cluster,
  guest: Guest,
  order: { readonly running: boolean; readonly withLocalDisks: boolean },
): void {
  const { raw, mapped } = localResources(guest);
  if (raw.length > 0) {
    throw new TaskFailure(`can't migrate VM which uses local devices: ${raw.join(", ")}`);
  }
  if (order.running && mapped.length > 0) {
    throw new TaskFailure(
      `can't live migrate running VM which uses following mapped devices: ${mapped.join(", ")}`,
    );
  }
  const disks = localDisks(cluster, guest);
  for (const disk of disks) {
    const why = immovable(cluster, guest, disk, order.running);
    if (why !== undefined) {
      throw new TaskFailure(`Problem found while scanning volumes - ${why}`);
    }
  }
  const moved = disks.filter(({ cdrom, unused }) => !cdrom && !unused);
  if (order.running && moved.length > 0 && !order.withLocalDisks) {
    throw new TaskFailure(
      "can't live migrate attached local disks without with-local-disks option",
    );
  }
}

/** Ends the worker for directories and devices of the host that are not said to be everywhere (PVE::LXC::Migrate prepare). */
export function refuseHostMounts({ type, config }: Guest): void {
  for (const { key, volid } of disksOf(type, config)) {
    if (!volid.startsWith("/") || readProperties(config[key] ?? "", "volume")["shared"] === "1") {
      continue;
    }
    const kind = volid.startsWith("/dev/") ? "device" : "bind";
    throw new TaskFailure(`cannot migrate local ${kind} mount point '${key}'`);
  }
}

/** Ends the worker for a container's snapshots on local storage; it is off by then (PVE::LXC::Migrate phase1). */
export function refuseSnapshots(cluster: Cluster, guest: Guest, say: (line: string) => void): void {
  const stuck = localDisks(cluster, guest).filter(({ volid, inSnapshot }) => {
    const type = cluster.world.storages.get(volid.split(":")[0] ?? "")?.type;
    return inSnapshot && type !== "zfspool" && type !== "btrfs";
  });
  for (const { volid } of stuck) {
    say(`ERROR: can't migrate local volume '${volid}': non-migratable snapshot exists`);
  }
  if (stuck.length > 0) throw new TaskFailure("can't migrate CT - check log");
}

function immovable(
  cluster: Cluster,
  guest: Guest,
  disk: LocalDisk,
  running: boolean,
): string | undefined {
  const { volid, cdrom, inSnapshot, volume } = disk;
  if (cdrom && !isCloudinit(volid)) return `can't migrate local cdrom '${volid}'`;
  if (cdrom) return undefined;
  if (!volume) return `can't migrate local disk '${volid}': volume '${volid}' does not exist`;
  const type = cluster.world.storages.get(volid.split(":")[0] ?? "")?.type;
  const carries = type === "zfspool" || volume.format === "qcow2";
  if (inSnapshot && guest.snapshots.length > 0) {
    if (running) return "online storage migration not possible if non-replicated snapshot exists";
    if (!carries) return `can't migrate local disk '${volid}': non-migratable snapshot exists`;
  }
  return undefined;
}

/** Takes the local volumes to the other node, and writes their new names wherever the old ones stood. */
export function carryDisks(
  cluster: Cluster,
  guest: Guest,
  target: string,
  storageFor: (storage: string) => string,
): void {
  const { volumes, storages } = cluster.world;
  for (const { volid, volume } of localDisks(cluster, guest)) {
    if (!volume) continue;
    const from = volid.split(":")[0] ?? "";
    const storage = storages.get(storageFor(from));
    if (!storage) continue;
    volumes.delete(volumeKey(volid, volume.node));
    const free = storage.id === from && !findVolume(cluster, volid, target);
    if (free) {
      volumes.set(volumeKey(volid, target), { ...volume, node: target });
      continue;
    }
    const { vmid, type } = guest;
    const { sizeBytes, format } = volume;
    const purpose = isCloudinit(volid) ? { purpose: "cloudinit" } : {};
    const order = { storage, node: target, vmid, type, sizeBytes, format, ...purpose };
    renameEverywhere(guest, volid, allocate(cluster, order).volid);
  }
}

function renameEverywhere(guest: Guest, from: string, to: string): void {
  const configs = [guest.config, guest.pending, ...guest.snapshots.map(({ config }) => config)];
  for (const config of configs) {
    for (const [key, value] of Object.entries(config)) {
      const [volid, ...rest] = value.split(",");
      if (volid === from) config[key] = [to, ...rest].join(",");
    }
  }
}
