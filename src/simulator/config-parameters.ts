import {
  agent,
  boot,
  cicustom,
  containerNet,
  cpu,
  drive,
  ipConfig,
  machine,
  memory,
  mountPoint,
  numaNode,
  subKeys,
  vga,
  vmNet,
  watchdog,
} from "./config-strings.ts";
import {
  addressFormat,
  configIdFormat,
  dnsNameFormat,
  hotplugFormat,
  ipFormat,
  listOf,
  storageIdFormat,
  tagFormat,
  urlencodedFormat,
  volumeIdFormat,
} from "./formats.ts";
import type { Parameters } from "./parameters.ts";

const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;
const positive = { type: "integer", optional: true, minimum: 1 } as const;
const count = { type: "integer", optional: true, minimum: 0 } as const;

const common: Parameters = {
  description: { ...text, maxLength: 8192 },
  delete: { ...text, list: true, format: listOf(configIdFormat) },
  revert: { ...text, list: true, format: listOf(configIdFormat) },
  digest: { ...text, maxLength: 40 },
  onboot: flag,
  protection: flag,
  template: flag,
  tags: { ...text, list: true, format: listOf(tagFormat) },
  startup: {
    ...text,
    pattern: /^(?:\d+|order=\d+|up=\d+|down=\d+)(?:,(?:order=\d+|up=\d+|down=\d+))*$/,
  },
  searchdomain: text,
  hookscript: { ...text, format: volumeIdFormat },
};

/** PVE::QemuServer json_config_properties: what PUT and POST config, and create, take. */
export const vmConfigParameters: Parameters = {
  ...common,
  nameserver: { ...text, list: true, format: listOf(addressFormat) },
  name: { ...text, format: dnsNameFormat },
  cores: positive,
  sockets: positive,
  smp: positive,
  vcpus: positive,
  cpulimit: { type: "number", optional: true, minimum: 0, maximum: 128 },
  cpuunits: { type: "integer", optional: true, minimum: 1, maximum: 262_144 },
  cpu: { ...text, properties: cpu },
  affinity: text,
  memory: { ...text, properties: memory },
  balloon: count,
  shares: { type: "integer", optional: true, minimum: 0, maximum: 50_000 },
  hugepages: { ...text, enum: ["any", "2", "1024"] },
  "allow-ksm": flag,
  ...Object.fromEntries(
    "acpi autostart ciupgrade freeze keephugepages kvm localtime numa reboot tablet tdf"
      .split(" ")
      .map((name) => [name, flag]),
  ),
  ...Object.fromEntries(
    "args smbios1 audio0 rng0 ivshmem spice_enhancements cipassword ciuser amd-sev keyboard startdate"
      .split(" ")
      .map((name) => [name, text]),
  ),
  agent: { ...text, properties: agent },
  machine: { ...text, properties: machine },
  vga: { ...text, properties: vga },
  watchdog: { ...text, properties: watchdog },
  cicustom: { ...text, properties: cicustom },
  hotplug: { ...text, format: hotplugFormat },
  boot: { ...text, properties: boot },
  bootdisk: { ...text, pattern: /^(?:ide|sata|scsi|virtio)\d+$/ },
  bios: { ...text, enum: ["seabios", "ovmf"] },
  citype: { ...text, enum: ["configdrive2", "nocloud", "opennebula"] },
  arch: { ...text, enum: ["x86_64", "aarch64"] },
  ostype: {
    ...text,
    enum: "other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris".split(" "),
  },
  scsihw: {
    ...text,
    enum: "lsi lsi53c810 virtio-scsi-pci virtio-scsi-single megasas pvscsi".split(" "),
  },
  sshkeys: { ...text, format: urlencodedFormat },
  vmgenid: text,
  vmstatestorage: { ...text, format: storageIdFormat },
  migrate_downtime: { type: "number", optional: true, minimum: 0 },
  migrate_speed: count,
  lock: {
    ...text,
    enum: "backup clone create migrate rollback snapshot snapshot-delete suspending suspended".split(
      " ",
    ),
  },
  efidisk0: { ...text, properties: drive },
  tpmstate0: { ...text, properties: drive },
  cdrom: { ...text, properties: drive },
  "ide[n]": { ...text, properties: drive, maxIndex: 3 },
  "sata[n]": { ...text, properties: drive, maxIndex: 5 },
  "scsi[n]": { ...text, properties: drive, maxIndex: 30 },
  "virtio[n]": { ...text, properties: drive, maxIndex: 15 },
  "unused[n]": { ...text, maxIndex: 255 },
  "net[n]": { ...text, properties: vmNet, maxIndex: 31 },
  "ipconfig[n]": { ...text, properties: ipConfig, maxIndex: 31 },
  "serial[n]": { ...text, pattern: /^(?:\/dev\/.+|socket)$/, maxIndex: 3 },
  "usb[n]": { ...text, maxIndex: 13 },
  "hostpci[n]": { ...text, maxIndex: 15 },
  "numa[n]": { ...text, properties: numaNode, maxIndex: 7 },
  "parallel[n]": { ...text, maxIndex: 2 },
  "virtiofs[n]": { ...text, maxIndex: 9 },
};

/** PVE::LXC::Config json_config_properties. */
export const containerConfigParameters: Parameters = {
  ...common,
  nameserver: { ...text, list: true, format: listOf(ipFormat) },
  hostname: { ...text, format: dnsNameFormat, maxLength: 255 },
  arch: { ...text, enum: ["amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"] },
  cmode: { ...text, enum: ["shell", "console", "tty"] },
  console: flag,
  cores: { type: "integer", optional: true, minimum: 1, maximum: 8192 },
  cpulimit: { type: "number", optional: true, minimum: 0, maximum: 8192 },
  cpuunits: { type: "integer", optional: true, minimum: 0, maximum: 500_000 },
  debug: flag,
  memory: { type: "integer", optional: true, minimum: 16 },
  swap: count,
  ostype: {
    ...text,
    enum: "debian devuan ubuntu centos fedora opensuse archlinux alpine gentoo nixos unmanaged".split(
      " ",
    ),
  },
  timezone: text,
  tty: { type: "integer", optional: true, minimum: 0, maximum: 6 },
  unprivileged: flag,
  entrypoint: text,
  env: text,
  features: {
    ...text,
    properties: { keys: subKeys("nesting keyctl fuse mknod force_rw_sys", "mount") },
  },
  lock: {
    ...text,
    enum: "backup create destroyed disk fstrim migrate mounted rollback snapshot snapshot-delete".split(
      " ",
    ),
  },
  rootfs: {
    ...text,
    properties: { defaultKey: "volume", keys: { volume: { type: "string" }, ...mountPoint } },
  },
  "mp[n]": {
    ...text,
    properties: {
      defaultKey: "volume",
      keys: { volume: { type: "string" }, mp: { type: "string" }, ...mountPoint },
    },
    maxIndex: 255,
  },
  "unused[n]": { ...text, maxIndex: 255 },
  "net[n]": { ...text, properties: containerNet, maxIndex: 31 },
  "dev[n]": { ...text, maxIndex: 255 },
};
