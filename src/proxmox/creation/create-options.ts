import { Problem } from "../../problem.ts";
import { closest } from "../../text.ts";
import type { GuestType } from "../api/values.ts";

const words = (text: string) => text.split(/\s+/);

/** PVE: QemuServer.pm and LXC/Config.pm, json_config_properties; `[n]` up to the highest index. */
const keys: Readonly<Record<GuestType, readonly string[]>> = {
  qemu: words(
    "acpi affinity agent allow-ksm amd-sev arch args audio0 autostart balloon bios boot bootdisk bwlimit cdrom cicustom citype ciupgrade cores cpu cpulimit cpuunits description efidisk0 freeze ha-managed hookscript hotplug hugepages import-working-storage intel-tdx ivshmem keephugepages keyboard kvm localtime machine memory migrate_downtime migrate_speed numa onboot ostype protection reboot rng0 scsihw searchdomain shares smbios1 sockets spice_enhancements startdate startup storage tablet tdf tpmstate0 vcpus vga vmgenid vmstatestorage watchdog",
  ),
  lxc: words(
    "arch bwlimit cmode console cores cpulimit cpuunits debug description entrypoint env features ha-managed hookscript ignore-unpack-errors memory nameserver onboot ostype protection searchdomain startup storage swap timezone tty",
  ),
};

const numberedKeys: Readonly<Record<GuestType, Readonly<Record<string, number>>>> = {
  qemu: {
    hostpci: 15,
    ide: 3,
    ipconfig: 31,
    net: 31,
    numa: 7,
    parallel: 2,
    sata: 5,
    scsi: 30,
    serial: 3,
    usb: 13,
    virtio: 15,
    virtiofs: 9,
  },
  lxc: { dev: 255, mp: 255, net: 31 },
};

/** What has an argument of its own, because more than one key depends on it or because it is secret. */
const elsewhere: Readonly<Record<string, string>> = {
  name: "name",
  hostname: "name",
  vmid: "vmid",
  node: "node",
  pool: "pool",
  tags: "tags",
  start: "start",
  cipassword: "password",
  password: "password",
  ciuser: "user",
  sshkeys: "ssh_keys",
  "ssh-public-keys": "ssh_keys",
  nameserver: "nameservers",
  ostemplate: "template",
  rootfs: "rootfs",
  unprivileged: "unprivileged",
};

/** Throws `invalid_input` for options that PVE does not know, with the closest that it does, and for those that are arguments. */
export function assertOptions(type: GuestType, options: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(options)) {
    if (isKnown(type, key)) continue;
    const argument = Object.hasOwn(elsewhere, key) ? elsewhere[key] : undefined;
    if (argument !== undefined) {
      throw refused(key, `${key} is no option here`, `Give it as the argument ${argument}.`);
    }
    const near = closest(key, [...keys[type], ...Object.keys(numberedKeys[type])], 3);
    const hint = near.length === 0 ? "" : ` Closest: ${near.join(", ")}.`;
    const next = "Use the names of PVE's configuration, such as those that get_vm shows.";
    throw refused(key, `Proxmox knows no option ${key.slice(0, 60)}.${hint}`, next);
  }
}

function isKnown(type: GuestType, key: string): boolean {
  if (keys[type].includes(key)) return true;
  const [, family = "", index] = /^([a-z]+)(0|[1-9]\d*)$/.exec(key) ?? [];
  const families = numberedKeys[type];
  const highest = Object.hasOwn(families, family) ? families[family] : undefined;
  return index !== undefined && Number(index) <= (highest ?? -1);
}

function refused(key: string, what: string, next: string): Problem {
  const message = what.endsWith(".") ? what : `${what}.`;
  return new Problem("invalid_input", `options: ${message} Nothing was sent.`, {
    next,
    facts: { argument: `options.${key.slice(0, 60)}` },
  });
}

/** As PVE's configurations have them. Throws `invalid_input`. PVE: JSONSchema.pm, pve-tag */
export function tagsOf(given: readonly string[] | undefined, managedTag: string): string[] {
  const tags = [...new Set([...(given ?? []).map((tag) => tag.toLowerCase()), managedTag])];
  const wrong = tags.find((tag) => !/^[a-z0-9_][a-z0-9_+.-]*$/.test(tag));
  if (wrong === undefined) return tags;
  throw new Problem("invalid_input", `"${wrong.slice(0, 60)}" can't be a tag. Nothing was sent.`, {
    next: "Tags are made of letters, digits and _ + . - and begin with a letter, digit or _.",
    facts: { argument: "tags" },
  });
}
