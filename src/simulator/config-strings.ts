import {
  bootDeviceFormat,
  ipv4ConfigFormat,
  ipv4Format,
  ipv6ConfigFormat,
  ipv6Format,
  listOf,
  macFormat,
  volumeIdFormat,
} from "./formats.ts";
import type { Parameter, Properties } from "./parameters.ts";

// Property strings: the options of guests that have parts.

const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;

/** Sub-keys that are all optional: `boolean` names, then `string` ones. */
export function subKeys(flags: string, texts: string, counts = ""): Record<string, Parameter> {
  const keys: Record<string, Parameter> = {};
  for (const name of flags.split(" ")) keys[name] = flag;
  for (const name of texts.split(" ")) keys[name] = text;
  for (const name of counts.split(" ")) keys[name] = { type: "integer", optional: true };
  delete keys[""];
  return keys;
}

const netModels =
  "e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er ne2k_isa ne2k_pci pcnet rtl8139 virtio vmxnet3".split(
    " ",
  );

export const vmNet: Properties = {
  defaultKey: "model",
  keyAlias: { of: "model", values: netModels, valueTo: "macaddr" },
  keys: {
    model: { type: "string", enum: netModels },
    macaddr: {
      ...text,
      format: macFormat,
    },
    ...subKeys("firewall link_down", "bridge rate trunks host_mtu"),
    tag: { type: "integer", optional: true, minimum: 1, maximum: 4094 },
    mtu: { type: "integer", optional: true, minimum: 1, maximum: 65_520 },
    queues: { type: "integer", optional: true, minimum: 0, maximum: 64 },
  },
};

export const drive: Properties = {
  defaultKey: "file",
  keys: {
    file: { type: "string", format: volumeIdFormat },
    media: { ...text, enum: ["cdrom", "disk"] },
    format: { ...text, enum: ["raw", "qcow", "qed", "qcow2", "vmdk", "cloop"] },
    size: { ...text, pattern: /^\d+(?:\.\d+)?[KMGT]?$/ },
    cache: { ...text, enum: ["none", "writethrough", "writeback", "unsafe", "directsync"] },
    discard: { ...text, enum: ["ignore", "on"] },
    aio: { ...text, enum: ["native", "threads", "io_uring"] },
    ...subKeys(
      "backup replicate shared snapshot ssd iothread ro scsiblock detect_zeroes pre-enrolled-keys",
      "serial model wwn vendor product import-from efitype version werror rerror mbps mbps_rd mbps_wr trans",
      "iops iops_rd iops_wr queues cyls heads secs",
    ),
  },
};

const addresses: Readonly<Record<string, Parameter>> = {
  ip: { ...text, format: ipv4ConfigFormat },
  ip6: { ...text, format: ipv6ConfigFormat },
  gw: { ...text, format: ipv4Format },
  gw6: { ...text, format: ipv6Format },
};
export const ipConfig: Properties = {
  keys: {
    ...addresses,
    gw: { ...text, format: ipv4Format, requires: "ip" },
    gw6: { ...text, format: ipv6Format, requires: "ip6" },
  },
};
export const machine: Properties = {
  defaultKey: "type",
  keys: {
    type: {
      ...text,
      maxLength: 40,
      pattern:
        /^(?:pc|pc(?:-i440fx)?-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?|q35|pc-q35-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?|virt(?:-\d+(?:\.\d+)+)?(?:\+pve\d+)?)$/,
    },
    viommu: { ...text, enum: ["intel", "virtio"] },
    "aw-bits": { type: "number", optional: true, minimum: 32, maximum: 64 },
    ...subKeys("enable-s3 enable-s4", ""),
  },
};
export const vga: Properties = {
  defaultKey: "type",
  keys: {
    type: {
      ...text,
      enum: "cirrus qxl qxl2 qxl3 qxl4 none serial0 serial1 serial2 serial3 std virtio virtio-gl vmware".split(
        " ",
      ),
    },
    memory: { type: "integer", optional: true, minimum: 4, maximum: 512 },
    clipboard: { ...text, enum: ["vnc"] },
  },
};
export const watchdog: Properties = {
  defaultKey: "model",
  keys: {
    model: { ...text, enum: ["i6300esb", "ib700"] },
    action: { ...text, enum: ["reset", "shutdown", "poweroff", "pause", "debug", "none"] },
  },
};
const ranges = /^\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*$/;
export const numaNode: Properties = {
  keys: {
    cpus: { type: "string", pattern: ranges },
    hostnodes: { ...text, pattern: ranges },
    memory: { type: "number", optional: true },
    policy: { ...text, enum: ["preferred", "bind", "interleave"] },
  },
};
const snippet = { ...text, format: volumeIdFormat };
export const cicustom: Properties = {
  keys: { meta: snippet, network: snippet, user: snippet, vendor: snippet },
};
export const agent: Properties = {
  defaultKey: "enabled",
  keys: {
    enabled: { type: "boolean" },
    ...subKeys("fstrim_cloned_disks freeze-fs-on-backup guest-fsfreeze", ""),
    type: { ...text, enum: ["virtio", "isa"] },
  },
};
export const cpu: Properties = {
  defaultKey: "cputype",
  keys: subKeys("hidden", "cputype flags hv-vendor-id phys-bits reported-model guest-phys-bits"),
};
export const memory: Properties = {
  defaultKey: "current",
  keys: { current: { type: "integer", minimum: 16 } },
};
export const boot: Properties = {
  defaultKey: "legacy",
  keys: {
    legacy: { ...text, pattern: /^[acdn]{1,4}$/ },
    order: { ...text, format: listOf(bootDeviceFormat) },
  },
};

export const mountPoint = subKeys("acl backup quota ro replicate shared", "mountoptions size");
export const containerNet: Properties = {
  keys: {
    name: { type: "string", pattern: /^[-_.\w\d]{2,15}$/ },
    type: { ...text, enum: ["veth"] },
    ...subKeys("firewall link_down host-managed", "bridge trunks rate"),
    hwaddr: { ...text, format: macFormat },
    ...addresses,
    tag: { type: "integer", optional: true, minimum: 1, maximum: 4094 },
    mtu: { type: "integer", optional: true, minimum: 64, maximum: 65_535 },
  },
};
