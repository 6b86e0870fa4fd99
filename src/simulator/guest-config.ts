import { createHash } from "node:crypto";
import { readProperties, readSize } from "./property-string.ts";
import type { Config, Guest, GuestType } from "./world.ts";

const diskKeys: Readonly<Record<GuestType, RegExp>> = {
  qemu: /^(?:scsi|virtio|sata|ide)\d+$|^efidisk0$|^tpmstate0$/,
  lxc: /^rootfs$|^mp\d+$/,
};

/** Options whose schema type is integer or boolean: JSON numbers in answers, everything else strings. */
const numericKeys: Readonly<Record<GuestType, ReadonlySet<string>>> = {
  qemu: new Set(
    "acpi allow-ksm autostart balloon ciupgrade cores cpuunits freeze keephugepages kvm localtime migrate_speed numa onboot protection reboot shares smp sockets tablet tdf template vcpus".split(
      " ",
    ),
  ),
  lxc: new Set(
    "console cores cpuunits debug memory onboot protection swap template tty unprivileged".split(
      " ",
    ),
  ),
};

export interface Disk {
  readonly key: string;
  readonly volid: string;
  readonly storage: string;
  readonly sizeBytes: number;
  readonly cdrom: boolean;
}

/** The config file's text: current section, pending section, one section a snapshot. */
function configText(guest: Guest): string {
  const lines = (config: Config) =>
    Object.keys(config)
      .sort()
      .map((key) => `${key}: ${config[key]}\n`);
  const parts = lines(guest.config);
  if (Object.keys(guest.pending).length > 0 || guest.pendingDelete.length > 0) {
    parts.push(
      "\n[PENDING]\n",
      `delete: ${guest.pendingDelete.join(",")}\n`,
      ...lines(guest.pending),
    );
  }
  for (const snapshot of guest.snapshots) {
    parts.push(`\n[${snapshot.name}]\n`, ...lines(snapshot.config));
    parts.push(`parent: ${snapshot.parent ?? ""}\n`, `snaptime: ${snapshot.snaptime}\n`);
  }
  return parts.join("");
}

/** sha1 hex of the whole file: snapshots, lock and pending changes count. */
export function digestOf(guest: Guest): string {
  return createHash("sha1").update(configText(guest)).digest("hex");
}

/** One option as the API answers it. */
export function answerValue(type: GuestType, key: string, value: string): string | number {
  if (key === "cipassword") return "**********";
  return numericKeys[type].has(key) ? Number(value) : value;
}

/** GET config: without `current` the pending changes are merged in. */
export function configAnswer(guest: Guest, current: boolean): Record<string, string | number> {
  const merged: Config = { ...guest.config };
  if (!current) {
    Object.assign(merged, guest.pending);
    for (const key of guest.pendingDelete) delete merged[key];
  }
  const answer: Record<string, string | number> = {};
  for (const [key, value] of Object.entries(merged))
    answer[key] = answerValue(guest.type, key, value);
  answer["digest"] = digestOf(guest);
  return answer;
}

/** What PVE calls the guest; a VM without a name is `VM 100`, a container `CT100`. */
export function nameOf(guest: Guest): string {
  if (guest.type === "lxc") return guest.config["hostname"] ?? `CT${guest.vmid}`;
  return guest.config["name"] ?? `VM ${guest.vmid}`;
}

export function isTemplate(guest: Guest): boolean {
  return guest.config["template"] === "1";
}

/** Memory as configured; both types default to 512 MiB. */
export function memoryBytes(guest: Guest): number {
  const text = guest.config["memory"] ?? "512";
  return Number(readProperties(text, "current")["current"] ?? 512) * 1024 ** 2;
}

export function cpusOf(guest: Guest): number {
  const cores = Number(guest.config["cores"] ?? (guest.type === "lxc" ? 2 : 1));
  return cores * Number(guest.config["sockets"] ?? 1);
}

export function isDiskKey(type: GuestType, key: string): boolean {
  return diskKeys[type].test(key);
}

/** Disks and drives in the order of their keys. */
export function disksOf(type: GuestType, config: Config): Disk[] {
  const disks: Disk[] = [];
  for (const key of Object.keys(config).sort()) {
    const value = config[key];
    if (value === undefined || !isDiskKey(type, key)) continue;
    const parts = readProperties(value, "file");
    const volid = parts["file"] ?? parts["volume"] ?? "none";
    const [storage = ""] = volid.split(":");
    const cdrom = parts["media"] === "cdrom";
    const sizeBytes = readSize(parts["size"] ?? "0") ?? 0;
    disks.push({ key, volid, storage, sizeBytes, cdrom });
  }
  return disks;
}

/** Boot disk for a VM, root file system for a container; the figure that rows and status call maxdisk. */
export function maxDiskBytes(guest: Guest): number {
  const wanted = guest.type === "lxc" ? "rootfs" : bootDisk(guest.config);
  const value = wanted === undefined ? undefined : guest.config[wanted];
  if (value !== undefined) return readSize(/(?:^|,)size=([^,]+)/.exec(value)?.[1] ?? "0") ?? 0;
  return disksOf(guest.type, guest.config).find((disk) => !disk.cdrom)?.sizeBytes ?? 0;
}

function bootDisk(config: Config): string | undefined {
  const order = readProperties(config["boot"] ?? "", "legacy")["order"];
  return order?.split(";").find((key) => isDiskKey("qemu", key));
}

/** `agent: 1` or `agent: enabled=1,…`. */
export function agentEnabled(guest: Guest): boolean {
  return readProperties(guest.config["agent"] ?? "0", "enabled")["enabled"] === "1";
}

/** A drive that PVE makes from the cloud-init options: a CD that belongs to the guest. */
export function isCloudinit(volid: string): boolean {
  return /-cloudinit(?:\.\w+)?$/.test(volid);
}
