import { transfer } from "../clone.ts";
import { inSnapshot } from "../config-apply.ts";
import { storageIdFormat } from "../formats.ts";
import { type Disk, digestOf, disksOf } from "../guest-config.ts";
import { findVolume, guestOf, keepVolume, lockText } from "../guests.ts";
import { readProperties, readSize, writeProperties, writeSize } from "../property-string.ts";
import { badParameters, died, Refusal } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { allocate, usableStorage, usedBaseText } from "../volumes.ts";
import { type Guest, type GuestType, type Volume, volumeKey } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;
const digest = { ...text, maxLength: 40 };
const vmDisk = /^(?:ide[0-3]|scsi(?:[12]?\d|30)|virtio(?:\d|1[0-5])|sata[0-5]|efidisk0|tpmstate0)$/;
const mountPoint = /^(?:rootfs|mp(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5]))$/;
const unused = /^unused\d{1,3}$/;

/** Growing and moving disks: PVE::API2::Qemu resize_vm, move_vm_disk; PVE::API2::LXC resize_vm, move_volume. */
export function diskRoutes(): Route[] {
  const target = {
    storage: { ...text, format: storageIdFormat },
    delete: flag,
    digest,
    bwlimit: { type: "integer", optional: true, minimum: 0 },
  } as const;
  const permission = needs("/vms/{vmid}", "VM.Config.Disk");
  return [
    resizeRoute("qemu"),
    resizeRoute("lxc"),
    {
      method: "POST",
      path: "/nodes/{node}/qemu/{vmid}/move_disk",
      permission,
      parameters: {
        ...target,
        disk: { type: "string", pattern: union(vmDisk, unused) },
        format: { ...text, enum: ["raw", "qcow2", "vmdk"] },
      },
      handle: (call) => moveDisk(call, guestOf(call, "qemu")),
    },
    {
      method: "POST",
      path: "/nodes/{node}/lxc/{vmid}/move_volume",
      permission,
      parameters: {
        ...target,
        volume: { type: "string", pattern: union(mountPoint, unused) },
      },
      handle: (call) => moveVolume(call, guestOf(call, "lxc")),
    },
  ];
}

function union(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => source).join("|"));
}

function resizeRoute(type: GuestType): Route {
  return {
    method: "PUT",
    path: `/nodes/{node}/${type}/{vmid}/resize`,
    permission: needs("/vms/{vmid}", "VM.Config.Disk"),
    parameters: {
      disk: { type: "string", pattern: type === "qemu" ? vmDisk : mountPoint },
      size: { type: "string", pattern: /^\+?\d+(?:\.\d+)?[KMGT]?$/ },
      digest,
      ...(type === "qemu" ? { skiplock: flag } : {}),
    },
    handle: (call) => resize(call, guestOf(call, type)),
  };
}

/** A VM's faults are found in the task, a container's before it. */
function resize(call: Call, guest: Guest): string {
  const { cluster, access } = call;
  if (call.values["skiplock"] !== undefined) {
    throw badParameters({ skiplock: "Only root may use this option." });
  }
  const { node, vmid } = guest;
  if (guest.type === "lxc") sizeOf(call, guest);
  const work = (log: TaskLog) => cluster.locks.hold(guest, log, () => resizeWork(call, guest));
  return cluster.tasks.start({ node, type: "resize", id: String(vmid), user: access.name, work });
}

function* resizeWork(call: Call, guest: Guest): Work {
  const { cluster, values, access } = call;
  const { disk: key = "" } = values;
  const { disk, bytes } = inTask(() => sizeOf(call, guest));
  if (bytes === disk.sizeBytes) return;
  if (guest.type === "qemu") {
    const what = `update VM ${guest.vmid}: resize --disk ${key} --size ${values["size"]}`;
    cluster.log.write(cluster.now, guest.node, access.name, what);
  }
  yield 300;
  const parts = readProperties(guest.config[key] ?? "", "file");
  guest.config[key] = writeProperties({ ...parts, size: writeSize(bytes) }, "file");
  const volume = findVolume(cluster, disk.volid, guest.node);
  if (volume) volume.sizeBytes = bytes;
}

/** The disk and its new size, or the refusal. */
function sizeOf({ cluster, values, access }: Call, guest: Guest): { disk: Disk; bytes: number } {
  const { disk: key = "", size = "0" } = values;
  refuseState(guest, values["digest"]);
  const disk = diskOf(guest, key);
  if (disk.cdrom) throw died("you can't resize a cdrom");
  const qcow2 = findVolume(cluster, disk.volid, guest.node)?.format === "qcow2";
  if (guest.type === "qemu" && qcow2 && guest.snapshots.length > 0) {
    throw died(`can't resize volume: ${key} if snapshot exists`);
  }
  access.need(`/storage/${disk.storage}`, "Datastore.AllocateSpace");
  const given = readSize(size.replace("+", "")) ?? 0;
  const bytes = size.startsWith("+") ? disk.sizeBytes + given : given;
  const container = guest.type === "lxc";
  if (bytes < disk.sizeBytes) {
    throw died(container ? "unable to shrink disk size" : "shrinking disks is not supported");
  }
  if (container && bytes === disk.sizeBytes) throw died("disk is already at specified size");
  return { disk, bytes };
}

function diskOf(guest: Guest, key: string): Disk {
  const disk = disksOf(guest.type, guest.config).find((other) => other.key === key);
  if (!disk) throw died(`disk '${key}' does not exist`);
  return disk;
}

function refuseState(guest: Guest, given: string | undefined, assert = false): void {
  const vm = guest.type === "qemu" && !assert;
  if (given !== undefined && given !== digestOf(guest)) {
    throw died(
      vm
        ? "checksum mismatch (file change by other user?)"
        : "detected modified configuration - file changed by other user? Try again.",
    );
  }
  const locked = lockText(guest);
  if (locked !== undefined) throw died(locked);
}

/** What kills a handler ends a worker with the same text. */
function inTask<T>(check: () => T): T {
  try {
    return check();
  } catch (refusal) {
    if (refusal instanceof Refusal) throw new TaskFailure(refusal.message);
    throw refusal;
  }
}

/** Where to: another storage; other guests as targets are not simulated. */
function targetStorage({ access, values }: Call): string {
  const { storage } = values;
  if (storage === undefined) throw badParameters({ storage: "either set storage or target-vmid" });
  access.need(`/storage/${storage}`, "Datastore.AllocateSpace");
  return storage;
}

/** Only what is wrong with the disk is said at once; a lock, another digest, a missing disk end the task. */
function moveDisk(call: Call, guest: Guest): string {
  const { cluster, access, values } = call;
  const { disk: key = "", format } = values;
  const storage = targetStorage(call);
  const disk = disksOf("qemu", guest.config).find((other) => other.key === key);
  if (disk) {
    if (disk.cdrom) throw died("you can't move a cdrom");
    const suffix = /\.(raw|qcow2|vmdk)$/.exec(disk.volid)?.[1];
    if (disk.storage === storage && (!format || !suffix || suffix === format)) {
      throw died("you can't move to the same storage with same format");
    }
    if (values["delete"] === "1" && inSnapshot(guest, disk.volid)) {
      throw died("you can't move a disk with snapshots and delete the source");
    }
  }
  const { node, vmid } = guest;
  const work = (log: TaskLog) =>
    cluster.locks.hold(guest, log, function* () {
      inTask(() => refuseState(guest, values["digest"], true));
      const moved = inTask(() => diskOf(guest, key));
      const what = `move disk VM ${vmid}: move --disk ${key} --storage ${storage}`;
      cluster.log.write(cluster.now, node, access.name, what);
      log.print(`create full clone of drive ${key} (${moved.volid})`);
      yield* copyTo(call, guest, moved, log);
    });
  return cluster.tasks.start({ node, type: "qmmove", id: String(vmid), user: access.name, work });
}

function moveVolume(call: Call, guest: Guest): string {
  const { cluster, access, values } = call;
  const { volume: key = "" } = values;
  const storage = targetStorage(call);
  const locked = lockText(guest);
  if (locked !== undefined) throw died(locked);
  if (guest.run.status === "running") throw died("cannot move volumes of a running container");
  if (unused.test(key)) {
    throw died(
      `cannot move volume '${key}', only configured volumes can be moved to another storage`,
    );
  }
  const disk = diskOf(guest, key);
  if (values["delete"] === "1" && inSnapshot(guest, disk.volid)) {
    throw died("you can't move a volume with snapshots and delete the source");
  }
  refuseState(guest, values["digest"]);
  const { node, vmid } = guest;
  guest.config["lock"] = "disk";
  const what = `move volume CT ${vmid}: move --volume ${key} --storage ${storage}`;
  cluster.log.write(cluster.now, node, access.name, what);
  const task = { node, type: "move_volume", id: String(vmid), user: access.name };
  return cluster.tasks.start({
    ...task,
    *work(log) {
      try {
        yield* copyTo(call, guest, disk, log);
      } finally {
        delete guest.config["lock"];
      }
    },
  });
}

/** The config names the copy at the end; the old volume stays as unused, or goes. */
function* copyTo(call: Call, guest: Guest, disk: Disk, log: TaskLog): Work {
  const { cluster, values } = call;
  const { node, vmid, type } = guest;
  const copy = newVolume(call, guest, disk);
  try {
    yield* transfer(disk.sizeBytes, Number(values["bwlimit"] ?? 0), log);
  } catch (failure) {
    cluster.world.volumes.delete(volumeKey(copy.volid, copy.node));
    throw failure;
  }
  const old = guest.config[disk.key] ?? "";
  const parts = readProperties(old, "file");
  delete parts["volume"];
  guest.config[disk.key] = writeProperties({ ...parts, file: copy.volid }, "file");
  const source = findVolume(cluster, disk.volid, node);
  const used = usedBaseText(cluster, disk.volid);
  if (values["delete"] !== "1" || used !== undefined) keepVolume(cluster, guest, old);
  if (values["delete"] !== "1") return;
  // What is needed elsewhere stays as unused; that is no reason to fail any more.
  if (used !== undefined) log.warn(used);
  else if (source?.vmid === vmid) {
    cluster.world.volumes.delete(volumeKey(source.volid, source.node));
    if (type === "qemu") log.print(`Logical volume "vm-${vmid}-disk" successfully removed.`);
  }
}

function newVolume({ cluster, values }: Call, guest: Guest, disk: Disk): Volume {
  const { node, vmid, type } = guest;
  const { storage: id = "", format } = values;
  const prefix = type === "qemu" ? "storage migration failed: " : "";
  try {
    const storage = usableStorage(cluster, id, node);
    const content = type === "qemu" ? "images" : "rootdir";
    if (!storage.content.includes(content)) {
      throw died(`storage '${id}' does not support content-type '${content}'`);
    }
    const { sizeBytes } = disk;
    const kept = format ?? findVolume(cluster, disk.volid, node)?.format;
    return allocate(cluster, {
      storage,
      node,
      vmid,
      type,
      sizeBytes,
      ...(kept && { format: kept }),
    });
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    throw new TaskFailure(`${prefix}${refusal.message}`);
  }
}
