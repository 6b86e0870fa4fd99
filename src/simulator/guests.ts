import type { Cluster } from "./cluster.ts";
import { disksOf, isCloudinit, isDiskKey } from "./guest-config.ts";
import { readProperties } from "./property-string.ts";
import { died } from "./refusal.ts";
import type { Call } from "./route.ts";
import type { Guest, GuestType, Volume } from "./world.ts";
import { serviceId, volumeKey } from "./world.ts";

/** `VM` or `CT`, as PVE's texts have it. */
export function kindWord(type: GuestType): "VM" | "CT" {
  return type === "qemu" ? "VM" : "CT";
}

/** PVE::AbstractConfig load_config: the guest has to be of that type on that node. */
export function guestOf(call: Call, type: GuestType): Guest {
  const vmid = Number(call.values["vmid"]);
  const node = call.values["node"] ?? "";
  const guest = call.cluster.world.guests.get(vmid);
  if (!guest || guest.type !== type || guest.node !== node)
    throw died(missingText(node, type, vmid));
  return guest;
}

export function missingText(node: string, type: GuestType, vmid: number): string {
  const folder = type === "qemu" ? "qemu-server" : "lxc";
  return `Configuration file 'nodes/${node}/${folder}/${vmid}.conf' does not exist`;
}

/** The text of a config lock, undefined when there is none (PVE::AbstractConfig check_lock). */
export function lockText(guest: Guest): string | undefined {
  const lock = guest.config["lock"];
  return lock === undefined ? undefined : `${kindWord(guest.type)} is locked (${lock})`;
}

/** Whether the HA manager, not the caller, acts on this guest (PVE::HA::Config vm_is_ha_managed). */
export function haManaged(cluster: Cluster, guest: Guest): boolean {
  const resource = cluster.world.ha.get(serviceId(guest));
  return resource !== undefined && resource.request !== "ignored";
}

/** Switches a guest on, as of now; pending changes take effect. */
export function switchOn(cluster: Cluster, guest: Guest): void {
  applyPending(cluster, guest);
  const pid = cluster.tasks.pid(guest.node);
  guest.run = { status: "running", qmpstatus: "running", since: cluster.now, pid };
}

/** Switches a guest off. */
export function switchOff(guest: Guest): void {
  guest.run = { status: "stopped", qmpstatus: "stopped", since: 0, pid: 0 };
}

/** What waited for a cold start becomes the config. */
function applyPending(cluster: Cluster, guest: Guest): void {
  const { pendingDelete, pendingForce = [], pending } = guest;
  guest.pending = {};
  guest.pendingDelete = [];
  guest.pendingForce = [];
  for (const key of pendingDelete) dropOption(cluster, guest, key, pendingForce.includes(key));
  for (const [key, value] of Object.entries(pending)) takeOption(cluster, guest, key, value);
}

/** Writes an option; the volume that a drive had before becomes unused. */
export function takeOption(cluster: Cluster, guest: Guest, key: string, value: string): void {
  const old = guest.config[key];
  guest.config[key] = value;
  if (old === undefined || !isDiskKey(guest.type, key)) return;
  if (volidOf(old) !== volidOf(value)) keepVolume(cluster, guest, old);
}

/** Takes an option out; a disk's volume becomes unused, or goes with `force` and when it was unused already. */
export function dropOption(cluster: Cluster, guest: Guest, key: string, force: boolean): void {
  const value = guest.config[key];
  delete guest.config[key];
  const unused = /^unused\d+$/.test(key);
  if (value === undefined || !(unused || isDiskKey(guest.type, key))) return;
  const volume = ownVolume(cluster, guest, value);
  if (!volume) return;
  if (unused || force || isCloudinit(volume.volid)) {
    cluster.world.volumes.delete(volumeKey(volume.volid, volume.node));
  } else keepVolume(cluster, guest, value);
}

/** PVE::AbstractConfig add_unused_volume: only what the guest owns, and no CD. */
export function keepVolume(cluster: Cluster, guest: Guest, value: string): void {
  const volume = ownVolume(cluster, guest, value);
  const named = Object.entries(guest.config).some(
    ([key, text]) => /^unused\d+$/.test(key) && text === volume?.volid,
  );
  if (!volume || named || isCloudinit(volume.volid)) return;
  let index = 0;
  while (guest.config[`unused${index}`] !== undefined) index++;
  guest.config[`unused${index}`] = volume.volid;
}

function ownVolume(cluster: Cluster, guest: Guest, value: string): Volume | undefined {
  const volume = findVolume(cluster, volidOf(value), guest.node);
  return volume?.vmid === guest.vmid ? volume : undefined;
}

/** The volume that a drive, a mount point or an unused entry names. */
export function volidOf(value: string): string {
  const parts = readProperties(value, "file");
  return parts["file"] ?? parts["volume"] ?? "";
}

/** Whether this is still the guest that a worker began with: not destroyed, not taken again. */
export function isAlive(cluster: Cluster, guest: Guest): boolean {
  return cluster.world.guests.get(guest.vmid) === guest;
}

/** The volumes that a guest's config and snapshots name. */
export function volumesOf(cluster: Cluster, guest: Guest): Volume[] {
  const found = new Set<Volume>();
  const configs = [guest.config, ...guest.snapshots.map((snapshot) => snapshot.config)];
  for (const config of configs) {
    const unused = Object.entries(config).filter(([key]) => /^unused\d+$/.test(key));
    const volids = [
      ...disksOf(guest.type, config).map((disk) => disk.volid),
      ...unused.map(([, value]) => value),
    ];
    for (const volid of volids) {
      const volume = findVolume(cluster, volid, guest.node);
      if (volume && volume.vmid === guest.vmid) found.add(volume);
    }
  }
  return [...found];
}

/** A volume as a node sees it: its own or a shared one. */
export function findVolume(cluster: Cluster, volid: string, node: string): Volume | undefined {
  const { volumes } = cluster.world;
  return volumes.get(volumeKey(volid, node)) ?? volumes.get(volumeKey(volid, ""));
}

/** The bare end of a guest: config, volumes, pool membership, ACL entries. */
export function removeGuest(cluster: Cluster, guest: Guest): void {
  const { world } = cluster;
  for (const volume of volumesOf(cluster, guest)) {
    world.volumes.delete(volumeKey(volume.volid, volume.node));
  }
  world.guests.delete(guest.vmid);
  for (const pool of world.pools.values()) pool.vmids.delete(guest.vmid);
  world.acl = world.acl.filter((entry) => entry.path !== `/vms/${guest.vmid}`);
}

/** Takes a guest out of backup jobs and HA. */
export function purgeGuest(cluster: Cluster, guest: Guest): void {
  const { world } = cluster;
  for (const job of world.backupJobs) job.vmids = job.vmids.filter((id) => id !== guest.vmid);
  world.backupJobs = world.backupJobs.filter((job) => job.all || job.pool || job.vmids.length > 0);
  world.ha.delete(serviceId(guest));
}

/** A vmid is one guest's in the whole cluster (PVE::Cluster check_vmid_unused). */
export function takenText(cluster: Cluster, vmid: number): string | undefined {
  const other = cluster.world.guests.get(vmid);
  return other && `${kindWord(other.type)} ${vmid} already exists on node '${other.node}'`;
}
