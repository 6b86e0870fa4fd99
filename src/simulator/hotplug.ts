import { isDiskKey } from "./guest-config.ts";
import { volidOf } from "./guests.ts";
import { readProperties } from "./property-string.ts";
import type { Guest } from "./world.ts";

/** QemuServer.pm $fast_plug_option and the cloud-init options: nothing in QEMU depends on them. */
const vmFast =
  /^(?:name|description|tags|onboot|startup|protection|shares|hookscript|vmstatestorage|migrate_\w+|lock|ci\w+|ipconfig\d+|sshkeys|nameserver|searchdomain|cpuunits|cpulimit)$/;
/** LXC/Config.pm $LXC_FASTPLUG_OPTIONS and what goes through cgroups. */
const containerFast =
  /^(?:description|tags|onboot|startup|protection|hostname|hookscript|cores|lock|cpulimit|cpuunits|net\d+)$/;
/** Sub-keys of a drive that QEMU takes while it is plugged in. */
const liveDriveKeys = /^(?:backup|replicate|shared|size|(?:mbps|iops|bps)\w*)$/;

/** Whether a guest takes this value at once; undefined: whether it lets go of the option at once. */
export function takesAtOnce(guest: Guest, key: string, value: string | undefined): boolean {
  if (guest.run.status !== "running" || /^unused\d+$/.test(key)) return true;
  return guest.type === "qemu" ? vmTakes(guest, key, value) : containerTakes(guest, key, value);
}

/** QemuServer.pm vmconfig_hotplug_pending: what it skips stays pending. */
function vmTakes(guest: Guest, key: string, value: string | undefined): boolean {
  const features = hotplugFeatures(guest);
  if (vmFast.test(key)) return true;
  if (key === "hotplug")
    return !`${value ?? ""}${guest.config["hotplug"] ?? ""}`.includes("memory");
  if (/^net\d+$/.test(key)) return features.has("network");
  if (/^usb\d+$/.test(key) || key === "tablet") return features.has("usb");
  if (key === "vcpus") return features.has("cpu");
  if (key === "memory") return features.has("memory");
  if (key === "balloon") return (value === "0") === (guest.config["balloon"] === "0");
  if (key === "agent") return sameAgent(guest.config["agent"] ?? "0", value ?? "0");
  return isDiskKey("qemu", key) && driveTakes(guest, key, value, features.has("disk"));
}

/** Without the option network, disk and usb; `1` is the same. */
function hotplugFeatures(guest: Guest): ReadonlySet<string> {
  const { hotplug = "1" } = guest.config;
  return new Set((hotplug === "1" ? "network,disk,usb" : hotplug).split(/[,;\s]+/));
}

/** Only what the host does with the agent changes at once, not whether it is there. */
function sameAgent(before: string, after: string): boolean {
  const [was, is] = [readProperties(before, "enabled"), readProperties(after, "enabled")];
  return was["enabled"] === is["enabled"] && was["type"] === is["type"];
}

/** QemuServer.pm vmconfig_update_disk */
function driveTakes(
  guest: Guest,
  key: string,
  value: string | undefined,
  hotplug: boolean,
): boolean {
  if (/^(?:efidisk|tpmstate)0$/.test(key)) return false;
  const old = guest.config[key];
  const pluggable = hotplug && /^(?:scsi|virtio)\d+$/.test(key);
  if (value === undefined || old === undefined) return pluggable;
  const [was, is] = [readProperties(old, "file"), readProperties(value, "file")];
  if (was["media"] === "cdrom" && is["media"] === "cdrom") return true;
  if (volidOf(old) !== volidOf(value)) return pluggable;
  const differ = Object.keys({ ...was, ...is }).filter((name) => was[name] !== is[name]);
  return differ.every((name) => liveDriveKeys.test(name));
}

/** LXC/Config.pm vmconfig_hotplug_pending */
function containerTakes(guest: Guest, key: string, value: string | undefined): boolean {
  if (containerFast.test(key)) return true;
  if (key === "swap") return true;
  if (key === "memory") return value !== undefined;
  // A mount point is put in while it runs, and neither changed nor taken out.
  return /^(?:mp|dev)\d+$/.test(key) && value !== undefined && guest.config[key] === undefined;
}
