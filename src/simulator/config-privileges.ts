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
    if (guest.type === "lxc" && !root && /^(?:rootfs|mp\d+)$/.test(key) && value.startsWith("/")) {
      const type = value.startsWith("/dev/") ? "device" : "bind";
      throw forbidden(`mount point type ${type} is only allowed for root@pam`);
    }
    if (guest.type === "qemu") needDevice(access, root, key, value);
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

/** A host's own devices are root's; mapped ones need a privilege on their mapping (Qemu.pm check_hostpci_perm, check_usb_perm). */
function needDevice(access: Access, root: boolean, key: string, value: string): void {
  const kind = /^(hostpci|usb)\d+$/.exec(key)?.[1];
  if (kind !== undefined && value !== "") {
    const { mapping, host } = readProperties(value, "host");
    const what = kind === "usb" ? "real devices" : "non-mapped devices";
    if (mapping !== undefined) {
      access.need(`/mapping/${kind === "usb" ? "usb" : "pci"}/${mapping}`, "Mapping.Use");
    } else if (kind === "hostpci" && host === undefined) {
      throw died("either 'host' or 'mapping' must be set.");
    } else if (!root && host?.toLowerCase() !== "spice") {
      throw died(`only root can set '${key}' config for ${what}`);
    }
  }
  if (/^serial\d+$/.test(key) && value !== "" && value !== "socket" && !root) {
    throw died(`only root can set '${key}' config for real devices`);
  }
}

/** What a disk option asks of storages (Qemu.pm check_storage_access, Storage.pm check_volume_access). */
export function needDiskPrivileges(
  access: Access,
  guest: { readonly vmid: number },
  options: Readonly<Record<string, string>>,
  ownerOf: (volid: string) => number | undefined,
): void {
  for (const [key, value] of Object.entries(options)) {
    if (!/^(?:(?:scsi|virtio|sata|ide|mp)\d+|efidisk0|tpmstate0|rootfs)$/.test(key)) continue;
    const parts = readProperties(value, "file");
    const volid = parts["file"] ?? parts["volume"] ?? "";
    const [storage = "", name = ""] = volid.split(":");
    if (!volid.includes(":")) continue;
    const path = `/storage/${storage}`;
    if (name === "cloudinit" || /^\d+(?:\.\d+)?$/.test(name)) {
      access.need(path, "Datastore.AllocateSpace");
    } else if (/^(?:iso|vztmpl|import)\//.test(name)) {
      access.needAny(path, ["Datastore.AllocateSpace", "Datastore.Audit"]);
    } else if (ownerOf(volid) !== guest.vmid) access.need(path, "Datastore.Allocate");
  }
}

function needFeatures(value: string): void {
  const others = Object.keys(readProperties(value, "nesting")).filter((key) => key !== "nesting");
  if (others.length === 0) return;
  throw forbidden("changing feature flags (except nesting) is only allowed for root@pam");
}
