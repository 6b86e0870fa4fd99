import { Problem } from "../../problem.ts";
import { closest } from "../../text.ts";
import type { GuestType } from "../api/values.ts";

/** Options without a number. PVE: PUT /nodes/{node}/{qemu|lxc}/{vmid}/config */
const plain: Readonly<Record<GuestType, ReadonlySet<string>>> = {
  qemu: new Set(
    "acpi affinity agent allow-ksm amd-sev arch args audio0 autostart balloon bios boot bootdisk cdrom cicustom cipassword citype ciupgrade ciuser cores cpu cpulimit cpuunits description efidisk0 freeze hookscript hotplug hugepages intel-tdx ivshmem keephugepages keyboard kvm localtime machine memory migrate_downtime migrate_speed name nameserver numa onboot ostype protection reboot rng0 scsihw searchdomain shares smbios1 smp sockets spice_enhancements sshkeys startdate startup tablet tags tdf tpmstate0 vcpus vga vmgenid vmstatestorage watchdog".split(
      " ",
    ),
  ),
  lxc: new Set(
    "arch cmode console cores cpulimit cpuunits debug description entrypoint env features hookscript hostname memory nameserver onboot ostype protection rootfs searchdomain startup swap tags timezone tty unprivileged".split(
      " ",
    ),
  ),
};

/** Numbered options, with the greatest number. */
const numbered: Readonly<Record<GuestType, Readonly<Record<string, number>>>> = {
  qemu: {
    net: 31,
    scsi: 30,
    virtio: 15,
    sata: 5,
    ide: 3,
    usb: 13,
    hostpci: 15,
    ipconfig: 31,
    numa: 7,
    serial: 3,
    parallel: 2,
    virtiofs: 9,
  },
  lxc: { net: 31, mp: 255, dev: 255 },
};

/** Property strings with the sub-key whose name is left out; `""` where none may be. The others are plain values. */
const strings: Readonly<Record<GuestType, Readonly<Record<string, string>>>> = {
  qemu: {
    agent: "enabled",
    "amd-sev": "type",
    audio0: "",
    cicustom: "",
    cpu: "cputype",
    efidisk: "file",
    hostpci: "host",
    ide: "file",
    "intel-tdx": "type",
    ipconfig: "",
    ivshmem: "",
    machine: "type",
    memory: "current",
    net: "model",
    "numa[n]": "",
    rng0: "source",
    sata: "file",
    scsi: "file",
    smbios1: "",
    spice_enhancements: "",
    startup: "order",
    tpmstate: "file",
    usb: "host",
    vga: "type",
    virtio: "file",
    virtiofs: "dirid",
    watchdog: "model",
  },
  lxc: { dev: "path", features: "", mp: "volume", net: "", rootfs: "volume", startup: "order" },
};

/** What an option that is not set stands for, where that is plain. */
const defaults: Readonly<Record<GuestType, Readonly<Record<string, string>>>> = {
  qemu: {
    acpi: "1",
    agent: "0",
    autostart: "0",
    bios: "seabios",
    ciupgrade: "1",
    cores: "1",
    cpulimit: "0",
    kvm: "1",
    memory: "512",
    numa: "0",
    onboot: "0",
    protection: "0",
    reboot: "1",
    sockets: "1",
    tablet: "1",
  },
  lxc: {
    console: "1",
    cpulimit: "0",
    debug: "0",
    memory: "512",
    onboot: "0",
    protection: "0",
    swap: "512",
    tty: "2",
  },
};

/** Other words for the same thing. */
const synonyms: Readonly<Record<GuestType, Readonly<Record<string, string>>>> = {
  qemu: { hostname: "name", notes: "description" },
  lxc: { name: "hostname", notes: "description" },
};

/** Options that PVE has, but that are changed in another way. */
const elsewhere: readonly (readonly [RegExp, string])[] = [
  [/^lock$/, "A lock belongs to the task that holds it; get_tasks shows what runs."],
  [/^template$/, "Make it a template with convert_to_template."],
  [/^unused\d+$/, "Use attach_disk to use an unused disk, detach_disk with destroy to remove it."],
  [/^digest$/, "Give digest beside set, not in it."],
];

export function canonicalKey(type: GuestType, key: string): string {
  const [base = "", ...rest] = key.trim().split(".");
  const own = Object.hasOwn(synonyms[type], base) ? synonyms[type][base] : base;
  return [own, ...rest].join(".");
}

export function isOption(type: GuestType, key: string): boolean {
  if (plain[type].has(key)) return true;
  const [, base = "", index = ""] = /^([a-z]+)(0|[1-9]\d{0,2})$/.exec(key) ?? [];
  return Number(index) <= (numbered[type][base] ?? -1) && index !== "";
}

/** The sub-key whose name is left out in this property string; undefined where the option is none. */
export function defaultKeyOf(type: GuestType, key: string): string | undefined {
  const table = strings[type];
  if (/^numa\d+$/.test(key)) return table["numa[n]"];
  const name = Object.hasOwn(table, key) ? key : key.replace(/\d+$/, "");
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

export function defaultOf(type: GuestType, key: string): string | undefined {
  return Object.hasOwn(defaults[type], key) ? defaults[type][key] : undefined;
}

/** A disk, a drive or a mount point. */
export function isDrive(key: string): boolean {
  return /^(?:(?:ide|sata|scsi|virtio|mp)\d+|efidisk0|tpmstate0|rootfs)$/.test(key);
}

/** Throws `invalid_input` for options that PVE does not know for this kind, with those that may be meant. */
export function assertOptions(
  type: GuestType,
  keys: readonly string[],
  argument: "set" | "unset",
): void {
  const strangers = keys.filter((key) => !isOption(type, key));
  if (strangers.length === 0) return;
  const kind = type === "qemu" ? "VMs" : "containers";
  const sentences = strangers.map((key) => {
    const own = elsewhere.find(([pattern]) => pattern.test(key))?.[1];
    if (own !== undefined) return `${key} is not set here. ${own}`;
    const near = closest(key, candidates(type, key), 3);
    const hint = near.length === 0 ? "" : ` Did you mean ${near.join(", ")}?`;
    return `${kind} have no option ${key.slice(0, 60)}.${hint}`;
  });
  throw new Problem("invalid_input", sentences.join(" "), {
    next: "Use the names of Proxmox's own configuration (cores, memory, net0, …), as get_vm and get_container show them.",
    facts: {
      argument,
      unknown: strangers.map((key) => ({ key, closest: closest(key, candidates(type, key), 3) })),
    },
  });
}

function candidates(type: GuestType, key: string): string[] {
  const index = /\d+$/.exec(key)?.[0] ?? "0";
  const families = Object.keys(numbered[type]).map((base) => `${base}${index}`);
  return [...plain[type], ...families.filter((name) => isOption(type, name))];
}
