import type { Cluster } from "./cluster.ts";
import { type Change, normalValue } from "./config-change.ts";
import { splitList } from "./formats.ts";
import { disksOf, isDiskKey } from "./guest-config.ts";
import { dropOption, findVolume, keepVolume, takeOption, volidOf } from "./guests.ts";
import { takesAtOnce } from "./hotplug.ts";
import { readProperties } from "./property-string.ts";
import { badParameters, died } from "./refusal.ts";
import { usedBaseText } from "./volumes.ts";
import type { Guest } from "./world.ts";

/**
 * Carries a change out; disks are allocated and detached on the way. Throws 500 before anything has changed, and 400 for what could
 * not be hot-plugged, after the rest has taken effect.
 */
export function applyChange(cluster: Cluster, guest: Guest, change: Change): void {
  refuse(cluster, guest, change);
  const set: Record<string, string> = {};
  for (const [key, value] of Object.entries(change.set)) {
    set[key] = normalValue(cluster, guest, key, value);
  }
  for (const key of change.revert) revert(cluster, guest, key);
  const errors: Record<string, string> = {};
  for (const key of change.remove) removeKey(cluster, guest, key, change.force, errors);
  for (const [key, value] of Object.entries(set)) setKey(cluster, guest, key, value, errors);
  if (Object.keys(errors).length > 0) throw badParameters(errors);
}

/** Qemu.pm update_vm_api and LXC/Config.pm update_pct_config, what they die of. */
function refuse(cluster: Cluster, guest: Guest, change: Change): void {
  for (const key of change.remove) refuseRemoval(cluster, guest, key, change.force);
  for (const key of Object.keys(change.set)) {
    if (guest.type === "qemu") continue;
    if (key === "unprivileged") throw died(`unable to modify read-only option: '${key}'`);
    if (isDiskKey("lxc", key)) protectedBy(guest, `can't update CT ${guest.vmid} drive '${key}'`);
  }
  if (guest.type === "qemu") refuseBoot(guest, change);
  const memory = readProperties(change.set["memory"] ?? guest.config["memory"] ?? "512", "current");
  if (Number(change.set["balloon"] ?? 0) > Number(memory["current"])) {
    throw died("balloon value too large (must be smaller than assigned memory)");
  }
}

/** A device of the boot order has to be there when all is done. */
function refuseBoot({ config, pending }: Guest, { set, remove }: Change): void {
  const order = readProperties(set["boot"] ?? "", "legacy")["order"] ?? "";
  for (const device of splitList(order)) {
    const there = config[device] ?? pending[device] ?? set[device];
    if (there !== undefined && !remove.includes(device)) continue;
    throw died(`invalid bootorder: device '${device}' does not exist'`);
  }
}

function refuseRemoval(cluster: Cluster, guest: Guest, key: string, force: boolean): void {
  const value = guest.config[key];
  if (value === undefined) return;
  const unused = /^unused\d+$/.test(key);
  if (guest.type === "lxc") {
    if (/^(?:rootfs|memory|ostype)$/.test(key)) {
      throw died(`unable to delete required option '${key}'`);
    }
    if (key === "unprivileged") throw died(`unable to delete read-only option: '${key}'`);
  }
  if (!unused && !isDiskKey(guest.type, key)) return;
  if (guest.type === "lxc") protectedBy(guest, `can't remove CT ${guest.vmid} drive '${key}'`);
  else if (unused) protectedBy(guest, `can't remove unused disk '${volidOf(value)}'`);
  else protectedBy(guest, `can't remove drive '${key}'`);
  if (!unused && !force) return;
  const volid = volidOf(value);
  if (inSnapshot(guest, volid)) {
    throw died(`unable to delete '${volid}' - volume is still in use (snapshot?)`);
  }
  const own = findVolume(cluster, volid, guest.node)?.vmid === guest.vmid;
  const used = own ? usedBaseText(cluster, volid) : undefined;
  if (used !== undefined) throw died(used);
}

/** PVE::AbstractConfig check_protection */
function protectedBy(guest: Guest, what: string): void {
  if (guest.config["protection"] === "1") throw died(`${what} - protection mode enabled`);
}

/** Whether a snapshot of the guest names this volume. */
export function inSnapshot(guest: Guest, volid: string): boolean {
  return guest.snapshots.some(({ config }) =>
    disksOf(guest.type, config).some((disk) => disk.volid === volid),
  );
}

function revert(cluster: Cluster, guest: Guest, key: string): void {
  dropPending(cluster, guest, key);
  guest.pendingDelete = guest.pendingDelete.filter((other) => other !== key);
}

/** A disk that was only pending becomes unused. */
function dropPending(cluster: Cluster, guest: Guest, key: string): void {
  const value = guest.pending[key];
  delete guest.pending[key];
  if (value !== undefined && isDiskKey(guest.type, key)) {
    if (volidOf(value) !== volidOf(guest.config[key] ?? "")) keepVolume(cluster, guest, value);
  }
}

function setKey(
  cluster: Cluster,
  guest: Guest,
  key: string,
  value: string,
  errors: Record<string, string>,
): void {
  guest.pendingDelete = guest.pendingDelete.filter((other) => other !== key);
  dropPending(cluster, guest, key);
  if (guest.config[key] === value) return;
  const failure = hotplugFailure(guest, key);
  if (failure !== undefined) errors[key] = failure;
  if (failure === undefined && takesAtOnce(guest, key, value)) {
    takeOption(cluster, guest, key, value);
  } else {
    guest.pending[key] = value;
  }
}

function removeKey(
  cluster: Cluster,
  guest: Guest,
  key: string,
  force: boolean,
  errors: Record<string, string>,
): void {
  dropPending(cluster, guest, key);
  if (guest.config[key] === undefined) return;
  const failure = hotplugFailure(guest, key);
  if (failure !== undefined) errors[key] = failure;
  if (failure === undefined && takesAtOnce(guest, key, undefined)) {
    dropOption(cluster, guest, key, force);
    return;
  }
  if (!guest.pendingDelete.includes(key)) guest.pendingDelete.push(key);
  if (force) guest.pendingForce = [...(guest.pendingForce ?? []), key];
}

/** What QEMU says, where it was told to. The option waits as pending all the same. */
function hotplugFailure(guest: Guest, key: string): string | undefined {
  if (guest.run.status !== "running") return undefined;
  const text = guest.traits.hotplugFails?.[key];
  return text === undefined ? undefined : `hotplug problem - ${text}`;
}
