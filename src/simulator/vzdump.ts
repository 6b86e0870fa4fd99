import { archiveVolume, archiveWords, notesOf } from "./archive.ts";
import type { Cluster } from "./cluster.ts";
import { disksOf, nameOf } from "./guest-config.ts";
import { kindWord, switchOff, switchOn } from "./guests.ts";
import type { Access } from "./permissions.ts";
import { refuseLocked } from "./power.ts";
import { readProperties, writeSize } from "./property-string.ts";
import { markBackups } from "./prune.ts";
import { Refusal } from "./refusal.ts";
import { TaskFailure, type TaskLog, type Work } from "./tasks.ts";
import { activate, usableStorage } from "./volumes.ts";
import { type Guest, type Storage, type Volume, volumeKey } from "./world.ts";

export interface DumpOrder {
  readonly node: string;
  readonly vmids: readonly number[];
  readonly storage: string;
  readonly mode: string;
  readonly compress: string;
  readonly notes: string | undefined;
  readonly protect: boolean;
  readonly prune: string | undefined;
  /** Guests that the caller may not back up are left out instead of ending it all. */
  readonly lenient: boolean;
  /** The options as the first line of the log has them. */
  readonly words: string;
}

/** Bytes that a backup reads in a millisecond. */
const readRate = 1_000_000;

/** The worker of a backup: PVE::VZDump new, getlock, exec_backup. One a node at a time; one guest failing does not stop the others. */
export function* dumpWork(
  cluster: Cluster,
  access: Access,
  order: DumpOrder,
  log: TaskLog,
  upid: string,
): Work {
  const storage = backupStorage(cluster, order);
  yield* waitForTurn(cluster, order.node, log, upid);
  log.print(`INFO: starting new backup job: vzdump ${order.words} --node ${order.node}`);
  const allowed = order.vmids.filter((vmid) => mayBackUp(cluster, access, vmid, order.lenient));
  let failed = 0;
  for (const vmid of allowed) {
    const began = cluster.now;
    try {
      yield* dumpOne(cluster, { ...order, storage: storage.id }, storage, vmid, log);
    } catch (failure) {
      if (!(failure instanceof TaskFailure)) throw failure;
      failed++;
      log.print(`ERROR: Backup of VM ${vmid} failed - ${failure.message}`);
      log.print(`INFO: Failed at ${stamp(began)}`);
    }
  }
  if (failed === 0) return log.print("INFO: Backup job finished successfully");
  log.print("INFO: Backup job finished with errors");
  throw new TaskFailure("job errors");
}

function backupStorage(cluster: Cluster, { storage: id, node }: DumpOrder): Storage {
  const failed = (text: string) =>
    new TaskFailure(`could not get storage information for '${id}': ${text}`);
  try {
    const storage = usableStorage(cluster, id, node);
    if (!storage.content.includes("backup")) {
      throw failed(`can't use storage '${id}' for backups - wrong content type`);
    }
    activate(storage);
    return storage;
  } catch (failure) {
    throw failure instanceof Refusal ? failed(failure.message) : failure;
  }
}

/** Whoever began before on this node goes first. */
function* waitForTurn(cluster: Cluster, node: string, log: TaskLog, upid: string): Work {
  const isFree = () => {
    const open = cluster.tasks
      .list(node)
      .filter(({ type, endtime }) => type === "vzdump" && endtime === undefined);
    return open[0]?.upid === upid;
  };
  if (isFree()) return;
  log.print("INFO: trying to get global lock - waiting...");
  for (let waitedMs = 0; !isFree(); waitedMs += 1000) {
    if (waitedMs >= 180 * 60_000) {
      throw new TaskFailure("can't acquire lock '/var/run/vzdump.lock' - got timeout");
    }
    yield 1000;
  }
  log.print("INFO: got global lock");
}

function mayBackUp(cluster: Cluster, access: Access, vmid: number, lenient: boolean): boolean {
  if (!cluster.world.guests.has(vmid) || access.has(`/vms/${vmid}`, "VM.Backup")) return true;
  if (lenient) return false;
  throw new TaskFailure(`Permission check failed (/vms/${vmid}, VM.Backup)`);
}

function* dumpOne(
  cluster: Cluster,
  order: DumpOrder,
  storage: Storage,
  vmid: number,
  log: TaskLog,
): Work {
  const guest = cluster.world.guests.get(vmid);
  if (!guest || guest.node !== order.node) throw new TaskFailure(`unable to find VM '${vmid}'`);
  const began = cluster.now;
  log.print(`INFO: Starting Backup of VM ${vmid} (${guest.type})`);
  log.print(`INFO: Backup started at ${stamp(began)}`);
  log.print(`INFO: status = ${guest.run.status}`);
  yield* cluster.locks.hold(guest, log, function* () {
    refuseLocked(guest);
    guest.config["lock"] = "backup";
    yield 20;
  });
  try {
    yield* archive(cluster, order, storage, guest, log);
  } finally {
    delete guest.config["lock"];
  }
  log.print(`INFO: Finished Backup of VM ${vmid} (${clockTime(cluster.now - began)})`);
  log.print(`INFO: Backup finished at ${stamp(cluster.now)}`);
}

function* archive(
  cluster: Cluster,
  order: DumpOrder,
  storage: Storage,
  guest: Guest,
  log: TaskLog,
): Work {
  const running = guest.run.status === "running";
  const mode = running ? modeFor(cluster, guest, order.mode, log) : "stop";
  log.print(`INFO: backup mode: ${mode}`);
  log.print("INFO: ionice priority: 7");
  log.print(`INFO: ${kindWord(guest.type)} Name: ${nameOf(guest)}`);
  const included = includedDisks(guest, log);
  const { lock: _, parent: __, ...config } = guest.config;
  if (running && mode === "stop") yield* stopFor(cluster, guest, log);
  const volume = archiveVolume(cluster, order.compress, storage, guest, { included, config });
  log.print(`INFO: creating ${archiveWords(storage, volume)}`);
  yield* progress(
    included.reduce((sum, disk) => sum + disk.sizeBytes, 0),
    log,
  );
  log.print(`INFO: archive file size: ${Math.ceil(volume.sizeBytes / 1024 ** 2)}MB`);
  if (order.notes !== undefined) {
    log.print("INFO: adding notes to backup");
    annotate(volume, order.notes, cluster, guest, log);
  }
  if (order.protect) {
    log.print("INFO: marking backup as protected");
    volume.protected = true;
  }
  cluster.world.volumes.set(volumeKey(volume.volid, volume.node), volume);
  prune(cluster, order, volume, log);
}

function annotate(
  volume: Volume,
  template: string,
  cluster: Cluster,
  guest: Guest,
  log: TaskLog,
): void {
  try {
    volume.notes = notesOf(template, cluster, guest);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    log.warn(`unable to add notes - ${refusal.message}`);
  }
}

/** A container whose storage knows no snapshots is suspended instead. */
function modeFor(cluster: Cluster, guest: Guest, mode: string, log: TaskLog): string {
  const plain = disksOf(guest.type, guest.config).some(({ volid }) => {
    const type = cluster.world.storages.get(volid.split(":")[0] ?? "")?.type;
    return type === "dir" || type === "nfs";
  });
  if (guest.type === "qemu" || mode !== "snapshot" || !plain) return mode;
  log.print("INFO: mode failure - some volumes do not support snapshots");
  log.print("INFO: trying 'suspend' mode instead");
  return "suspend";
}

function includedDisks(guest: Guest, log: TaskLog) {
  return disksOf(guest.type, guest.config).filter(({ key, volid, cdrom, sizeBytes }) => {
    const parts = readProperties(guest.config[key] ?? "", "file");
    const wanted =
      guest.type === "qemu" || key === "rootfs" ? parts["backup"] !== "0" : parts["backup"] === "1";
    if (cdrom) return false;
    const verb = wanted ? "include" : "exclude";
    if (guest.type === "qemu")
      log.print(`INFO: ${verb} disk '${key}' '${volid}' ${writeSize(sizeBytes)}`);
    else {
      const how = wanted ? "including" : "excluding volume";
      log.print(`INFO: ${how} mount point ${key} ('${parts["mp"] ?? "/"}') in backup`);
    }
    return wanted;
  });
}

/** Down, and up again at once: the backup goes on while it runs. */
function* stopFor(cluster: Cluster, guest: Guest, log: TaskLog): Work {
  log.print("INFO: stopping virtual guest");
  yield 3000;
  switchOff(guest);
  switchOn(cluster, guest);
  log.print("INFO: guest is online again after 3 seconds");
}

/** A line about every tenth of the way. */
function* progress(bytes: number, log: TaskLog): Work {
  const totalMs = Math.max(400, bytes / readRate);
  for (let step = 1; step <= 10; step++) {
    yield totalMs / 10;
    const gib = (share: number) => ((bytes * share) / 1024 ** 3).toFixed(1);
    log.print(
      `INFO: ${step * 10}% (${gib(step / 10)} GiB of ${gib(1)} GiB) in ${Math.ceil((totalMs * step) / 10_000)}s`,
    );
  }
}

function prune(cluster: Cluster, order: DumpOrder, made: Volume, log: TaskLog): void {
  if (order.prune === undefined) return;
  log.print(`INFO: prune older backups with retention: ${order.prune.replaceAll(",", ", ")}`);
  const same = [...cluster.world.volumes.values()].filter(
    ({ content, vmid, volid, node }) =>
      content === "backup" &&
      vmid === made.vmid &&
      node === made.node &&
      volid.startsWith(`${order.storage}:`),
  );
  const going = markBackups(same, order.prune).filter(({ mark }) => mark === "remove");
  for (const { volume } of going) {
    log.print(`INFO: removing backup '${volume.volid}'`);
    cluster.world.volumes.delete(volumeKey(volume.volid, volume.node));
  }
  log.print(`INFO: pruned ${going.length} backup(s)`);
}

function stamp(at: number): string {
  return new Date(at).toISOString().slice(0, 19).replace("T", " ");
}

function clockTime(ms: number): string {
  return new Date(ms).toISOString().slice(11, 19);
}
