import { allowedBackup } from "../archive.ts";
import type { Cluster } from "../cluster.ts";
import { normalValue } from "../config-change.ts";
import { needConfigPrivileges } from "../config-privileges.ts";
import { disksOf, isCloudinit, isDiskKey } from "../guest-config.ts";
import { kindWord, lockText, removeGuest, takenText, volumesOf } from "../guests.ts";
import type { Parameters } from "../parameters.ts";
import { autostart, taskPrefix } from "../power.ts";
import { readProperties, writeProperties, writeSize } from "../property-string.ts";
import { randomUuid } from "../random.ts";
import { badParameters, died, forbidden, Refusal } from "../refusal.ts";
import type { Call } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { activate, allocate, usableStorage } from "../volumes.ts";
import {
  type Archive,
  type Config,
  type Guest,
  type GuestType,
  stoppedGuest,
  type Volume,
  volumeKey,
} from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const limit = { type: "number", optional: true, minimum: 0 } as const;

/** Bytes that a restore writes in a millisecond. */
const writeRate = 1_000_000;

/** What POST /nodes/{node}/{qemu,lxc} takes besides, for restores. */
export const restoreParameters: Readonly<Record<GuestType, Parameters>> = {
  qemu: {
    archive: { type: "string", optional: true, maxLength: 255 },
    force: { ...flag, requires: "archive" },
    unique: { ...flag, requires: "archive" },
    "live-restore": flag,
    bwlimit: { ...limit, type: "integer" },
  },
  lxc: { restore: flag, force: flag, unique: { ...flag, requires: "restore" }, bwlimit: limit },
};

const control = new Set(
  "node vmid pool storage start unique archive force live-restore bwlimit restore ostemplate ha-managed password ssh-public-keys ignore-unpack-errors".split(
    " ",
  ),
);

/** Whether the request asks for a restore. */
export function isRestore(values: Readonly<Record<string, string>>, type: GuestType): boolean {
  return type === "qemu" ? values["archive"] !== undefined : values["restore"] === "1";
}

/** Who may back a guest up may restore over it, without VM.Allocate. */
export function mayOverwrite({ cluster, access, values }: Call): boolean {
  const path = `/vms/${values["vmid"]}`;
  const exists = cluster.world.guests.has(Number(values["vmid"]));
  return exists && values["force"] === "1" && access.has(path, "VM.Backup");
}

/** The restoring half of PVE::API2::Qemu create_vm and PVE::API2::LXC create_vm. */
export function restore(call: Call, type: GuestType): string {
  const { cluster, access, values } = call;
  const { node = "", pool } = values;
  const vmid = Number(values["vmid"]);
  if (!access.has(`/vms/${vmid}`, "VM.Allocate") && !mayOverwrite(call)) {
    if (pool === undefined || !access.has(`/pool/${pool}`, "VM.Allocate")) throw forbidden();
  }
  const given = Object.fromEntries(Object.entries(values).filter(([key]) => !control.has(key)));
  const drive = Object.keys(given).find((key) => isDiskKey(type, key));
  if (type === "qemu" && drive !== undefined) {
    throw badParameters({ [drive]: "option conflicts with option 'archive'" });
  }
  needConfigPrivileges(access, { type, vmid }, given);
  if (values["start"] === "1") access.need(`/vms/${vmid}`, "VM.PowerMgmt");
  const volid = values[type === "qemu" ? "archive" : "ostemplate"] ?? "";
  const volume = usableArchive(call, type, volid);
  if (type === "lxc") refuseStorage(call);
  const guest = target(call, type);
  if (pool !== undefined) cluster.world.pools.get(pool)?.vmids.add(vmid);
  const task = { node, type: `${taskPrefix(guest)}restore`, id: String(vmid), user: access.name };
  return cluster.tasks.start({
    ...task,
    work: (log) => restoreWork(call, guest, { volid, volume, given }, log),
  });
}

/** A VM's archive has to be there at once, a container's is looked for in the task. */
function usableArchive(call: Call, type: GuestType, volid: string): Volume | undefined {
  const { storage, volume } = allowedBackup(call, volid);
  if (!/:backup\//.test(volid)) {
    throw died(`unable to use volume ${volid} - content type needs to be 'backup'`);
  }
  activate(storage);
  if (!volume && type === "qemu") throw died(`volume '${volid}' does not exist`);
  return volume;
}

/** Without `storage` a container's disks go to `local`. */
function refuseStorage({ cluster, access, values }: Call): void {
  const { storage: id = "local", node = "" } = values;
  access.need(`/storage/${id}`, "Datastore.AllocateSpace");
  if (usableStorage(cluster, id, node).content.includes("rootdir")) return;
  throw badParameters({ storage: `storage '${id}' does not support container directories` });
}

/** The guest that is overwritten, or a new one; both locked when the answer goes out. */
function target(call: Call, type: GuestType): Guest {
  const { cluster, values } = call;
  const { node = "" } = values;
  const vmid = Number(values["vmid"]);
  const old = cluster.world.guests.get(vmid);
  const over = old && old.type === type && old.node === node && values["force"] === "1";
  if (!over) {
    const taken = takenText(cluster, vmid);
    if (taken !== undefined) {
      throw died(type === "qemu" ? `unable to restore VM ${vmid} - ${taken}` : taken);
    }
    const guest = stoppedGuest({ vmid, type, node, config: { lock: "create" } });
    cluster.world.guests.set(vmid, guest);
    return guest;
  }
  const failed = `unable to restore ${kindWord(type)} ${vmid}`;
  if (old.run.status === "running") {
    throw died(type === "qemu" ? `${failed} - vm is running` : "can't overwrite running container");
  }
  if (old.config["protection"] === "1") {
    throw died(`${failed}${type === "qemu" ? " -" : ""} - protection mode enabled`);
  }
  const locked = lockText(old);
  if (locked !== undefined) throw died(type === "qemu" ? `${failed} - ${locked}` : locked);
  old.config["lock"] = "create";
  return old;
}

interface Order {
  readonly volid: string;
  readonly volume: Volume | undefined;
  readonly given: Config;
}

function* restoreWork(call: Call, guest: Guest, order: Order, log: TaskLog): Work {
  const { cluster, access, values } = call;
  const fresh = Object.keys(guest.config).length === 1;
  const failed = (text: string) =>
    new TaskFailure(`unable to restore ${kindWord(guest.type)} ${guest.vmid} - ${text}`);
  yield* cluster.locks.hold(guest, log, function* () {
    try {
      yield* unpack(call, guest, order, log);
    } catch (failure) {
      delete guest.config["lock"];
      if (guest.type === "qemu") log.print(notCleanedUp(guest));
      else if (fresh) removeGuest(cluster, guest);
      throw failure instanceof Refusal ? failed(failure.message) : failure;
    }
  });
  if (values["start"] === "1") yield* autostart(cluster, guest, access.name, log);
}

/** PVE::API2::Qemu leaves a VM as the failure left it, a new one too; disks that were there before are gone, if it came that far. */
function notCleanedUp({ vmid }: Guest): string {
  return `error before or during data restore, some or all disks were not completely restored. VM ${vmid} state is NOT cleaned up.`;
}

function* unpack(call: Call, guest: Guest, { volid, volume, given }: Order, log: TaskLog): Work {
  const { cluster, values } = call;
  const { archive } = volume ?? {};
  log.print(
    guest.type === "qemu"
      ? `restore vma archive: zstd -q -d -c ${volid}`
      : `recovering backed-up configuration from '${volid}'`,
  );
  if (!archive) throw died(`volume '${volid}' does not exist`);
  if (archive.type !== guest.type) {
    throw died(guest.type === "qemu" ? "no such VMA archive" : "unable to find container config");
  }
  for (const disk of ownDisks(archive)) usableFor(call, guest, disk.storage);
  for (const old of volumesOf(cluster, guest)) {
    cluster.world.volumes.delete(volumeKey(old.volid, old.node));
  }
  const config: Config = { ...archive.config };
  yield* makeDisks(call, guest, archive, config, log);
  guest.snapshots = [];
  if (values["unique"] === "1") makeUnique(cluster, guest, config);
  for (const [key, value] of Object.entries(given)) {
    config[key] = normalValue(cluster, guest, key, value);
  }
  guest.config = config;
  guest.pending = {};
  guest.pendingDelete = [];
}

/** What a failure finds half written is removed again. */
function* makeDisks(
  call: Call,
  guest: Guest,
  archive: Archive,
  config: Config,
  log: TaskLog,
): Work {
  const { cluster } = call;
  const fresh: Volume[] = [];
  try {
    for (const { key, storage, sizeBytes, volid } of ownDisks(archive)) {
      const home = usableFor(call, guest, storage);
      const purpose = isCloudinit(volid) ? { purpose: "cloudinit" } : {};
      const order = { storage: home, sizeBytes, format: "qcow2", ...purpose };
      const made = allocate(cluster, { ...guest, ...order });
      fresh.push(made);
      log.print(`new volume ID is '${made.volid}'`);
      if (!isCloudinit(volid)) yield* write(sizeBytes, log);
      const parts = readProperties(archive.config[key] ?? "", "file");
      const written = { ...parts, file: made.volid, size: writeSize(sizeBytes) };
      config[key] = writeProperties(written, "file");
    }
  } catch (failure) {
    for (const { volid, node } of fresh) cluster.world.volumes.delete(volumeKey(volid, node));
    throw failure;
  }
}

/** A cloud-init drive is not in the archive, but made anew (PVE::QemuServer parse_backup_hints). */
function ownDisks({ type, config }: Archive) {
  return disksOf(type, config).filter(
    ({ cdrom, volid }) => volid.includes(":") && (!cdrom || isCloudinit(volid)),
  );
}

/** Where a disk goes: the storage that is asked for, else where it was. */
function usableFor({ cluster, access, values }: Call, guest: Guest, was: string) {
  const wanted = values["storage"] ?? (guest.type === "lxc" ? "local" : was);
  const storage = usableStorage(cluster, wanted, guest.node);
  const content = guest.type === "qemu" ? "images" : "rootdir";
  if (!storage.content.includes(content)) {
    throw died(`Content type '${content}' is not available on storage '${wanted}'`);
  }
  access.need(`/storage/${wanted}`, "Datastore.AllocateSpace");
  return storage;
}

function* write(bytes: number, log: TaskLog): Work {
  const totalMs = Math.max(300, bytes / writeRate);
  for (const percent of [25, 50, 75, 100]) {
    yield totalMs / 4;
    const read = Math.floor((bytes * percent) / 100);
    log.print(
      `progress ${percent}% (read ${read} bytes, duration ${Math.floor((totalMs * percent) / 100_000)} sec)`,
    );
  }
}

/** New addresses and ids, so that the guest can live beside the one it was. */
function makeUnique(cluster: Cluster, guest: Guest, config: Config): void {
  for (const [key, value] of Object.entries(config)) {
    if (!/^net\d+$/.test(key)) continue;
    const plain = value
      .replace(/(?:^|,)hwaddr=[^,]*/, "")
      .replace(/^([a-z0-9-]+)=(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/i, "model=$1");
    config[key] = normalValue(cluster, guest, key, plain);
  }
  if (guest.type === "lxc") return;
  config["vmgenid"] = randomUuid(cluster.random);
  config["smbios1"] = `uuid=${randomUuid(cluster.random)}`;
}
