import {
  defaultName,
  flag,
  type GuestId,
  type GuestType,
  given,
  number,
  properties,
  record,
  sizeBytes,
  tagList,
  text,
  type Wire,
} from "./values.ts";

export interface Disk {
  /** `scsi0`, `rootfs`, `mp0`, `unused0` … */
  readonly key: string;
  /** `local-lvm:vm-101-disk-0`, or `none` for an empty drive. */
  readonly volid: string;
  readonly storage?: string;
  readonly sizeBytes?: number;
  readonly cdrom?: true;
  /** Where a container mounts it. */
  readonly mountpoint?: string;
}

export interface Nic {
  readonly key: string;
  readonly model?: string;
  readonly mac?: string;
  readonly bridge?: string;
  readonly vlan?: number;
  readonly firewall?: boolean;
  /** Static address or `dhcp`, where the configuration gives one. */
  readonly ip?: string;
}

/** A guest's configuration, parsed; pending values merged in, as PVE answers it. */
export interface GuestConfig {
  readonly type: GuestType;
  /** Clock time in ms at which it was asked for. */
  readonly beganAt: number;
  /** Changes with every change of the configuration, its snapshots and its lock. */
  readonly digest?: string;
  /** Absent while the guest is only half there (being created, cloned or destroyed). */
  readonly name?: string;
  readonly lock?: string;
  readonly template: boolean;
  readonly protection: boolean;
  readonly tags: readonly string[];
  readonly notes?: string;
  readonly cores?: number;
  readonly sockets?: number;
  readonly memoryMib?: number;
  readonly agent: boolean;
  readonly onboot: boolean;
  readonly disks: readonly Disk[];
  readonly nics: readonly Nic[];
  /** Everything else, as PVE writes it. */
  readonly options: Readonly<Record<string, string | number>>;
  /** All of it as PVE writes it, for changes that keep what they do not name. */
  readonly raw: Readonly<Record<string, string>>;
}

const diskKey = /^(?:(?:ide|sata|scsi|virtio|efidisk|tpmstate|mp|unused)[0-9]+|rootfs)$/;
const parsedElsewhere = new Set([
  "digest",
  "name",
  "hostname",
  "lock",
  "template",
  "protection",
  "tags",
  "description",
  "cores",
  "sockets",
  "memory",
  "onboot",
]);

/** PVE: GET /nodes/{node}/{qemu|lxc}/{vmid}/config */
export function readConfig(data: unknown, id: GuestId, beganAt: number): GuestConfig {
  const { type } = id;
  const wire = record(data);
  const disks: Disk[] = [];
  const nics: Nic[] = [];
  const options: Record<string, string | number> = {};
  const raw: Record<string, string> = {};
  for (const key of Object.keys(wire).sort(byKey)) {
    const value = text(wire[key]);
    if (value !== undefined && key !== "digest") raw[key] = value;
    if (value === undefined || parsedElsewhere.has(key)) continue;
    if (diskKey.test(key)) disks.push(disk(key, value));
    else if (/^net[0-9]+$/.test(key)) nics.push(nic(key, value, wire, type));
    else options[key] = typeof wire[key] === "number" ? wire[key] : value;
  }
  return {
    type,
    beganAt,
    template: flag(wire["template"]) ?? false,
    protection: flag(wire["protection"]) ?? false,
    tags: tagList(wire["tags"]),
    agent: agentEnabled(wire),
    onboot: flag(wire["onboot"]) ?? false,
    // Copied, as a list that has grown keeps room for sixteen more, and thousands of these are kept.
    disks: [...disks],
    nics: [...nics],
    options,
    raw,
    ...given({
      digest: text(wire["digest"]),
      name: nameIn(wire, id),
      lock: text(wire["lock"]),
      notes: text(wire["description"]),
      cores: number(wire["cores"]),
      sockets: number(wire["sockets"]),
      memoryMib: memoryMib(wire["memory"]),
    }),
  };
}

/** The name that this configuration gives its guest for good; undefined while it is half there. */
function nameIn(wire: Wire, id: GuestId): string | undefined {
  const own = text(id.type === "qemu" ? wire["name"] : wire["hostname"]);
  if (own !== undefined) return own;
  const half = ["create", "clone", "destroyed"].includes(text(wire["lock"]) ?? "");
  return half ? undefined : defaultName(id);
}

function disk(key: string, value: string): Disk {
  const parts = properties(value, "volume");
  const volid = parts["volume"] ?? parts["file"] ?? value;
  const at = volid.indexOf(":");
  return {
    key,
    volid,
    ...given({
      storage: at > 0 ? volid.slice(0, at) : undefined,
      sizeBytes: sizeBytes(parts["size"]),
      cdrom: parts["media"] === "cdrom" ? (true as const) : undefined,
      mountpoint: parts["mp"],
    }),
  };
}

/** `virtio=<mac>,bridge=…` names model and MAC in one piece; containers have `name=eth0,hwaddr=…`. */
function nic(key: string, value: string, wire: Wire, type: GuestType): Nic {
  const parts = properties(value, "model");
  const short = Object.entries(parts).find(([, mac]) =>
    /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac),
  );
  const ipconfig = text(wire[key.replace("net", "ipconfig")]);
  const address = type === "lxc" ? parts : properties(ipconfig ?? "", "ip");
  return {
    key,
    ...given({
      model: type === "qemu" ? (parts["model"] ?? short?.[0]) : undefined,
      mac: parts["macaddr"] ?? parts["hwaddr"] ?? short?.[1],
      bridge: parts["bridge"],
      vlan: number(parts["tag"]),
      firewall: flag(parts["firewall"]),
      ip: address["ip"],
    }),
  };
}

/** `agent: 1` or `enabled=1,fstrim_cloned_disks=1`. */
function agentEnabled(wire: Wire): boolean {
  const value = text(wire["agent"]);
  return value !== undefined && properties(value, "enabled")["enabled"] === "1";
}

/** `2048`, or `current=2048` since it is a property string. */
function memoryMib(value: unknown): number | undefined {
  const written = text(value);
  return written === undefined ? undefined : number(properties(written, "current")["current"]);
}

/** scsi2 before scsi10. */
function byKey(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** The drive by which cloud-init is told: Proxmox makes it anew for a clone and a restored guest. */
export function isCloudInit(volid: string): boolean {
  return /-cloudinit(?:\.\w+)?$/.test(volid);
}
