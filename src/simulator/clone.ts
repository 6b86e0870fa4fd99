import type { Cluster } from "./cluster.ts";
import { type Disk, disksOf, isCloudinit } from "./guest-config.ts";
import { findVolume, removeGuest, takenText } from "./guests.ts";
import { readProperties, writeProperties } from "./property-string.ts";
import { randomMac, randomUuid } from "./random.ts";
import { Refusal } from "./refusal.ts";
import { Interrupted, TaskFailure, type TaskLog, type Work } from "./tasks.ts";
import { allocate, humanSize, usableStorage } from "./volumes.ts";
import {
  type Config,
  type Guest,
  stoppedGuest,
  type Traits,
  type Volume,
  volumeKey,
} from "./world.ts";

/** A clone as it was asked for, checked. */
export interface CloneOrder {
  readonly source: Guest;
  /** The source's config, or that of one of its snapshots. */
  readonly config: Config;
  readonly newid: number;
  readonly name: string | undefined;
  readonly description: string | undefined;
  readonly full: boolean;
  readonly storage: string | undefined;
  readonly target: string | undefined;
  readonly pool: string | undefined;
  /** KiB/s; 0: as fast as it goes. */
  readonly bwlimit: number;
}

/** Bytes copied per millisecond: 8 GiB take about 12 s. */
const copyRate = 700_000;
/** Keys of the source that a clone does not inherit. */
const dropped =
  /^(?:lock|parent|template|vmstate|runningmachine|snaptime|digest|unused\d+|protection)$/;

/** qmclone: the new id is taken only here, not before the answer (PVE::API2::Qemu clone_vm). */
export function* cloneVm(cluster: Cluster, order: CloneOrder, log: TaskLog): Work {
  const { source, newid } = order;
  yield* cluster.locks.share(source, log, function* () {
    if (takenText(cluster, newid) !== undefined) {
      throw new TaskFailure(`unable to create VM ${newid}: config file already exists`);
    }
    const config = { lock: "clone", description: " qmclone temporary file" };
    const traits = inside(source, newid);
    const guest = stoppedGuest({ vmid: newid, type: "qemu", node: source.node, config, traits });
    yield* copyInto(cluster, order, guest, log);
  });
}

/** What is installed comes along, and boots for a while before it answers; DHCP gives an address of its own. */
function inside({ traits: { agent, os } }: Guest, newid: number): Traits {
  if (!agent) return {};
  const addresses = [`198.51.100.${1 + (newid % 250)}/24`];
  return { agent, addresses, bootMs: 8_000, ...(os && { os }) };
}

/** vzclone: the new id was taken and the source locked before the answer (PVE::API2::LXC clone_vm). */
export function* cloneContainer(
  cluster: Cluster,
  order: CloneOrder,
  guest: Guest,
  log: TaskLog,
): Work {
  try {
    yield* copyInto(cluster, order, guest, log);
  } finally {
    delete order.source.config["lock"];
  }
}

/** Under the new guest's file lock; a clone that fails leaves nothing behind. */
function* copyInto(cluster: Cluster, order: CloneOrder, guest: Guest, log: TaskLog): Work {
  yield* cluster.locks.hold(
    guest,
    log,
    function* () {
      cluster.world.guests.set(guest.vmid, guest);
      if (order.pool) cluster.world.pools.get(order.pool)?.vmids.add(guest.vmid);
      try {
        const config = inheritedConfig(cluster, order);
        for (const disk of disksOf(guest.type, order.config)) {
          config[disk.key] = yield* copyDisk(cluster, order, guest, disk, log);
          guest.config[disk.key] = config[disk.key] ?? "";
        }
        yield 80;
        guest.config = config;
        if (order.source.firewall) guest.firewall = order.source.firewall;
        if (order.target !== undefined) guest.node = order.target;
      } catch (failure) {
        removeGuest(cluster, guest);
        if (failure instanceof Refusal) throw new TaskFailure(`clone failed: ${failure.message}`);
        if (!(failure instanceof Interrupted)) throw failure;
        throw new TaskFailure("clone failed: copy failed: interrupted by signal");
      }
    },
    1000,
  );
}

function inheritedConfig(cluster: Cluster, order: CloneOrder): Config {
  const { source, config, name, description } = order;
  const made: Config = {};
  for (const [key, value] of Object.entries(config)) {
    if (!dropped.test(key)) made[key] = withNewMac(cluster, key, value);
  }
  if (description !== undefined) made["description"] = description;
  if (source.type === "lxc") {
    if (name !== undefined) made["hostname"] = name;
    return made;
  }
  made["name"] = name ?? `Copy-of-VM-${config["name"] ?? source.vmid}`;
  made["smbios1"] = `uuid=${randomUuid(cluster.random)}`;
  made["vmgenid"] = randomUuid(cluster.random);
  return made;
}

function withNewMac(cluster: Cluster, key: string, value: string): string {
  if (!/^net\d+$/.test(key)) return value;
  return value.replace(/[0-9A-F]{2}(?::[0-9A-F]{2}){5}/i, randomMac(cluster.random));
}

/** One disk; answers its config value. CD drives are only named again, cloud-init drives made anew. */
function* copyDisk(
  cluster: Cluster,
  order: CloneOrder,
  guest: Guest,
  disk: Disk,
  log: TaskLog,
): Generator<number, string, void> {
  const value = order.config[disk.key] ?? "";
  const cloudinit = isCloudinit(disk.volid);
  if (disk.cdrom && !cloudinit) return value;
  const { type, vmid } = guest;
  const storage = usableStorage(cluster, order.storage ?? disk.storage, guest.node);
  const node = order.target ?? guest.node;
  const { sizeBytes } = disk;
  const linked = !order.full && !cloudinit;
  const parent = linked ? { parent: disk.volid } : {};
  const purpose = cloudinit ? { purpose: "cloudinit" } : {};
  const format = linked
    ? "qcow2"
    : (findVolume(cluster, disk.volid, order.source.node)?.format ?? "raw");
  const way = linked ? "linked" : "full";
  const what = type === "qemu" ? `drive ${disk.key}` : `mountpoint ${disk.key}`;
  log.print(`create ${way} clone of ${what} (${disk.volid})`);
  const volume = allocate(cluster, {
    storage,
    node,
    vmid,
    type,
    sizeBytes,
    format,
    ...parent,
    ...purpose,
  });
  if (linked && storage.path !== undefined) tellLink(storage.path, disk, volume, log);
  try {
    yield* linked || cloudinit ? instant() : transfer(sizeBytes, order.bwlimit, log);
  } catch (failure) {
    cluster.world.volumes.delete(volumeKey(volume.volid, volume.node));
    if (!(failure instanceof Interrupted) || type === "lxc") throw failure;
    throw new TaskFailure(
      `clone failed: copy failed: ${convertCommand(cluster, order, disk, volume)} failed: interrupted by signal`,
    );
  }
  const parts = readProperties(value, "file");
  return writeProperties({ ...parts, file: volume.volid }, "file");
}

/** What qemu-img and the directory storage print when a file gets a base. */
function tellLink(folder: string, disk: Disk, volume: Volume, log: TaskLog): void {
  const base = disk.volid.slice(disk.volid.indexOf(":") + 1);
  const name = volume.volid.slice(volume.volid.lastIndexOf("/") + 1);
  const { vmid, sizeBytes } = volume;
  log.print(`clone ${base}: images, ${name}, ${vmid} to ${name} (base=../${base})`);
  log.print(
    `Formatting '${folder}/images/${vmid}/${name}', fmt=qcow2 cluster_size=131072 extended_l2=on preallocation=metadata compression_type=zlib size=${sizeBytes} backing_file=../${base} backing_fmt=qcow2 lazy_refcounts=off refcount_bits=16`,
  );
}

function convertCommand(cluster: Cluster, order: CloneOrder, disk: Disk, volume: Volume): string {
  const limit = order.bwlimit > 0 ? ` -r ${order.bwlimit}K` : "";
  const source = findVolume(cluster, disk.volid, order.source.node);
  const formats = `-f ${source?.format ?? "raw"} -O ${volume.format}`;
  const paths = `${pathOf(cluster, disk.volid)} zeroinit:${pathOf(cluster, volume.volid)}`;
  return `command '/usr/bin/qemu-img convert -p -n${limit} ${formats} ${paths}'`;
}

/** Where a volume lies: a file, or a logical volume. */
function pathOf(cluster: Cluster, volid: string): string {
  const [storage = "", name = ""] = volid.split(":");
  const folder = cluster.world.storages.get(storage)?.path;
  return folder === undefined ? `/dev/${storage}/${name}` : `${folder}/images/${name}`;
}

function* instant(): Work {
  yield 150;
}

/** Copies with a progress line about every second. */
export function* transfer(sizeBytes: number, bwlimit: number, log: TaskLog): Work {
  const rate = bwlimit > 0 ? Math.min(copyRate, (bwlimit * 1024) / 1000) : copyRate;
  const totalMs = Math.max(300, sizeBytes / rate);
  const steps = Math.min(100, Math.max(1, Math.round(totalMs / 1000)));
  for (let step = 0; step <= steps; step++) {
    const done = Math.floor((sizeBytes * step) / steps);
    const percent = ((step / steps) * 100).toFixed(2);
    log.print(`transferred ${humanSize(done)} of ${humanSize(sizeBytes)} (${percent}%)`);
    if (step < steps) yield totalMs / steps;
  }
}
