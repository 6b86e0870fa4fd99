import type { Access } from "./permissions.ts";
import { readProperties } from "./property-string.ts";
import { died, forbidden } from "./refusal.ts";
import type { GuestType } from "./world.ts";

const vmGroups: readonly (readonly [RegExp, string])[] = [
  [/^(?:scsi|virtio|sata|ide)\d+$|^unused\d+$|^efidisk0$|^tpmstate0$/, "VM.Config.Disk"],
  [/^cdrom$/, "VM.Config.CDROM"],
  [/^(?:cores|sockets|smp|vcpus|cpu|cpulimit|cpuunits|affinity|numa\d*)$/, "VM.Config.CPU"],
  [/^(?:memory|balloon|shares|hugepages|keephugepages|allow-ksm)$/, "VM.Config.Memory"],
  [/^net\d+$/, "VM.Config.Network"],
  [/^(?:ci\w+|ipconfig\d+|sshkeys|nameserver|searchdomain)$/, "VM.Config.Cloudinit"],
  [
    /^(?:acpi|hotplug|kvm|machine|scsihw|smbios1|tablet|vga|watchdog|audio0|rng0|vmgenid|bios|arch|serial\d+|usb\d+|hostpci\d+|ivshmem)$/,
    "VM.Config.HWType",
  ],
];
const containerGroups: readonly (readonly [RegExp, string])[] = [
  [/^(?:rootfs|mp\d+|unused\d+)$/, "VM.Config.Disk"],
  [/^(?:cores|cpulimit|cpuunits)$/, "VM.Config.CPU"],
  [/^(?:memory|swap)$/, "VM.Config.Memory"],
  [/^(?:net\d+|nameserver|searchdomain|hostname)$/, "VM.Config.Network"],
];
const rootOnly = /^(?:args|lock|hookscript|parallel\d+|ivshmem)$/;

/** Each option has its privilege (Qemu.pm check_vm_modify_config_perm, LXC.pm check_ct_modify_config_perm). */
export function needConfigPrivileges(
  access: Access,
  guest: { readonly type: GuestType; readonly vmid: number },
  options: Readonly<Record<string, string>>,
): void {
  const root = access.identity.user.id === "root@pam" && !access.identity.token;
  for (const [key, value] of Object.entries(options)) {
    if (rootOnly.test(key) && !root) throw died(`only root can set '${key}' config`);
    access.need(`/vms/${guest.vmid}`, privilegeOf(guest.type, key, value));
    if (/^net\d+$/.test(key)) needBridge(access, value);
    if (key === "features" && !root) needFeatures(value);
  }
}

function privilegeOf(type: GuestType, key: string, value: string): string {
  const groups = type === "qemu" ? vmGroups : containerGroups;
  const privilege = groups.find(([pattern]) => pattern.test(key))?.[1] ?? "VM.Config.Options";
  const cdrom = type === "qemu" && readProperties(value, "file")["media"] === "cdrom";
  return privilege === "VM.Config.Disk" && cdrom ? "VM.Config.CDROM" : privilege;
}

/** A clone takes its source's networks along (check_bridge_access of QemuServer.pm and LXC.pm). */
export function needBridges(access: Access, config: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(config)) {
    if (/^net\d+$/.test(key)) needBridge(access, value);
  }
}

function needBridge(access: Access, value: string): void {
  const parts = readProperties(value, "model");
  const { bridge, tag } = parts;
  if (bridge === undefined) return;
  const path = `/sdn/zones/localnetwork/${bridge}${tag === undefined ? "" : `/${tag}`}`;
  access.needAny(path, ["SDN.Use"]);
}

function needFeatures(value: string): void {
  const others = Object.keys(readProperties(value, "nesting")).filter((key) => key !== "nesting");
  if (others.length === 0) return;
  throw forbidden("changing feature flags (except nesting) is only allowed for root@pam");
}
