import { Problem } from "../../problem.ts";
import { properties, propertyString } from "../api/values.ts";
import type { Params } from "../api/verbs.ts";
import { assertAddress } from "../config/cloud-init.ts";

/** A disk as it was asked for. */
export interface DiskWish {
  /** `scsi0`, `rootfs`, `mp0` … */
  readonly key: string;
  /** As PVE takes it. */
  readonly value: string;
  readonly storage: string;
  /** What it may grow to in the end, in bytes; 0 for what is there already. */
  readonly sizeBytes: number;
  /** The image that it is made of. */
  readonly source?: string;
  /** What it grows to after the import, such as `32G`. */
  readonly growTo?: string;
  /** A volume that is there already. */
  readonly volume?: string;
  /** A CD, which many guests may share. */
  readonly cdrom?: true;
}

type Options = Readonly<Record<string, string>>;

const buses: Readonly<Record<string, number>> = { scsi: 30, virtio: 15, sata: 5, ide: 3 };

/**
 * `local-lvm:32,ssd=1`, `virtio0=local-lvm:0,import-from=local:import/x.qcow2`, and after them the drives among the options, whose
 * keys are theirs. Throws `invalid_input`.
 */
export function readDisks(disks: readonly string[], options: Options = {}): readonly DiskWish[] {
  const others = optionDisks(options, vmDrive, "file");
  const used = new Set(Object.keys(options));
  const own = disks.map((text, index) => {
    const argument = `disks[${index}]`;
    const [, bus = "scsi", number, rest] = /^([a-z]+)([0-9]+)=(.*)$/s.exec(text) ?? [];
    if (number !== undefined && Number(number) > (buses[bus] ?? -1)) {
      throw invalid(argument, `there is no drive ${bus}${number}`, "Use scsi0 to scsi30.");
    }
    const key = number === undefined ? freeKey("scsi", used) : `${bus}${Number(number)}`;
    if (used.has(key)) throw invalid(argument, `${key} is given twice`, "Number them apart.");
    used.add(key);
    return readDisk(key, rest ?? text, { argument, defaultKey: "file" });
  });
  return [...own, ...others];
}

const vmDrive = /^(?:(?:scsi|virtio|sata|ide)\d+|efidisk0|tpmstate0|cdrom)$/;

/** Drives among the options are read as disks are, so that nobody else's is attached; what is no volume stays as it is. */
function optionDisks(options: Options, drive: RegExp, defaultKey: string): readonly DiskWish[] {
  return Object.entries(options).flatMap(([key, value]) => {
    const { [defaultKey]: file = "", media } = properties(value.trim(), defaultKey);
    if (!drive.test(key) || /^(?:none|cdrom)$|:cloudinit$/.test(file)) return [];
    const disk = readDisk(key, value, { argument: `options.${key}`, defaultKey });
    return [media === "cdrom" || key === "cdrom" ? { ...disk, cdrom: true as const } : disk];
  });
}

/** What they need of each storage, in bytes. */
export function roomNeeded(disks: readonly DiskWish[]): ReadonlyMap<string, number> {
  const needed = new Map<string, number>();
  for (const { storage, sizeBytes, cdrom } of disks) {
    if (!cdrom) needed.set(storage, (needed.get(storage) ?? 0) + sizeBytes);
  }
  return needed;
}

/** Where PVE's own tools put a CD and the drive of cloud-init; else where none of `taken` is. Throws `invalid_input`. */
export function freeIde(taken: ReadonlySet<string>, what: string): string {
  const key = ["ide2", "ide0", "ide3", "ide1"].find((one) => !taken.has(one));
  if (key !== undefined) return key;
  throw invalid("disks", `no IDE drive is left for ${what}`, "Put a disk on another bus: scsi1=….");
}

function freeKey(bus: string, used: ReadonlySet<string>): string {
  let index = 0;
  while (used.has(`${bus}${index}`)) index++;
  return `${bus}${index}`;
}

/** `local-lvm:8` and mount points `local-lvm:4,mp=/data`. Throws `invalid_input`. */
export function readMounts(
  rootfs: string,
  mounts: readonly string[],
  options: Options = {},
): readonly [DiskWish, ...DiskWish[]] {
  const used = new Set(Object.keys(options));
  const root = readDisk("rootfs", rootfs, { argument: "rootfs", defaultKey: "volume" });
  const others = mounts.map((text, index) => {
    const argument = `mounts[${index}]`;
    if (!/,mp=\/[^,]/.test(text)) {
      throw invalid(argument, "it lacks where to mount it", "Write it as local-lvm:4,mp=/data.");
    }
    const key = freeKey("mp", used);
    used.add(key);
    return readDisk(key, text, { argument, defaultKey: "volume" });
  });
  return [root, ...others, ...optionDisks(options, /^mp\d+$/, "volume")];
}

const inGib: Readonly<Record<string, number>> = { "": 1, G: 1, T: 1024, M: 1 / 1024 };

/** A size counts in GiB, as PVE has it; a unit behind it, which PVE would refuse, is understood. */
function readDisk(
  key: string,
  text: string,
  { argument, defaultKey }: { readonly argument: string; readonly defaultKey: string },
): DiskWish {
  const parts = properties(text.trim(), defaultKey);
  const file = parts[defaultKey] ?? "";
  const [, storage, what = ""] = /^([a-z][a-z0-9\-_.]*[a-z0-9]):(.+)$/i.exec(file) ?? [];
  if (file.startsWith("/")) {
    throw invalid(
      argument,
      "paths on a host are for root@pam only",
      "Give a volume of a storage, such as local-lvm:32.",
    );
  }
  if (storage === undefined) {
    throw invalid(
      argument,
      `"${text.slice(0, 80)}" names no storage`,
      "Write it as storage:size in GiB, such as local-lvm:32; list_storage names the storages.",
    );
  }
  const source = parts["import-from"];
  const [, amount, unit = ""] = /^([0-9]+(?:\.[0-9]+)?)([MGT]?)i?B?$/i.exec(what) ?? [];
  if (amount === undefined) {
    if (source === undefined)
      return { key, value: text.trim(), storage, sizeBytes: 0, volume: file };
    throw invalid(argument, "import-from makes a new disk", `Write ${storage}:0,import-from=….`);
  }
  const gib = Number(amount) * (inGib[unit.toUpperCase()] ?? 1);
  const size = source === undefined ? gib : 0;
  if (source === undefined && gib <= 0) {
    throw invalid(argument, "a disk has a size", `Write ${storage}:32 for 32 GiB.`);
  }
  const value = propertyString({ ...parts, [defaultKey]: `${storage}:${size}` }, defaultKey);
  const wish = { key, value, storage, sizeBytes: gib * 1024 ** 3 };
  if (source === undefined) return wish;
  const growTo = Number.isInteger(gib) ? `${gib}G` : `${Math.ceil(gib * 1024)}M`;
  return { ...wish, source, ...(gib > 0 && { growTo }) };
}

const models = /^(?:virtio|vmxnet3|e1000e?|e1000-\w+|rtl8139|ne2k_\w+|pcnet|i82\w+)$/;

/** `vmbr0,tag=20`, `e1000,bridge=vmbr0`: what has no name is the bridge, or a model. */
export function vmNics(nics: readonly string[]): Params {
  return numbered("net", nics, (text) => {
    const { "": first, ...parts } = properties(text.trim(), "");
    const bare = first !== undefined && models.test(first) ? { model: first } : undefined;
    const short = Object.keys(parts).find((key) => models.test(key));
    const bridge = bare || first === undefined ? {} : { bridge: first };
    if (short !== undefined) return propertyString({ ...parts, ...bridge }, "");
    return propertyString({ model: "virtio", ...bare, ...bridge, ...parts }, "model");
  });
}

/** `vmbr0,ip=dhcp`, `vmbr0,ip=192.0.2.5/24,gw=192.0.2.1`; the first is called eth0. */
export function containerNics(nics: readonly string[]): Params {
  return numbered("net", nics, (text, index) => {
    const argument = `nics[${index}]`;
    const { "": first, macaddr, ...parts } = properties(text.trim(), "");
    for (const key of ["ip", "ip6", "gw", "gw6"] as const) {
      assertAddress(parts[key], key, argument);
    }
    const bridge = first === undefined ? {} : { bridge: first };
    const hwaddr = macaddr === undefined ? {} : { hwaddr: macaddr };
    return propertyString({ name: `eth${index}`, ...bridge, ...hwaddr, ...parts }, "");
  });
}

/** `net0`, `net1` … */
export function numbered(
  key: string,
  items: readonly string[],
  value: (item: string, index: number) => string,
): Params {
  return Object.fromEntries(items.map((item, index) => [`${key}${index}`, value(item, index)]));
}

/** Names of mapped devices. Throws `invalid_input` for what is none. */
export function readMappings(names: readonly string[]): readonly string[] {
  const wrong = names.findIndex((name) => !/^[a-z][a-z0-9_-]+$/i.test(name));
  if (wrong < 0) return names;
  throw invalid(
    `pci[${wrong}]`,
    `"${names[wrong]?.slice(0, 60)}" is no name of a mapping`,
    "Devices go by their mapping of the cluster (Datacenter, Resource Mappings); raw addresses are for root@pam only.",
  );
}

/** Mapped devices, at the places that `config` leaves free. With the machine q35, and only there, a device gets a lane of its own. */
export function freeDevices(
  names: readonly string[],
  config: Readonly<Record<string, string | undefined>>,
): Params {
  const lane = /^(?:pc-)?q35/.test(config["machine"] ?? "") ? ",pcie=1" : "";
  const used = new Set(Object.keys(config));
  const devices = names.map((name) => {
    const key = freeKey("hostpci", used);
    used.add(key);
    return [key, `mapping=${name}${lane}`];
  });
  return Object.fromEntries(devices);
}

function invalid(argument: string, what: string, next: string): Problem {
  return new Problem("invalid_input", `${argument}: ${what}. Nothing was sent.`, {
    next,
    facts: { argument },
  });
}
