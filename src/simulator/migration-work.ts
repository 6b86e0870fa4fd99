import type { Cluster } from "./cluster.ts";
import { kindWord, switchOff, switchOn } from "./guests.ts";
import {
  carryDisks,
  localDisks,
  refuseHostMounts,
  refuseImmovable,
  refuseSnapshots,
} from "./migration.ts";
import { refuseLocked } from "./power.ts";
import { TaskFailure, type TaskLog, type Work } from "./tasks.ts";
import { type Guest, serviceId } from "./world.ts";

/** Bytes that a migration carries in a millisecond. */
const carryRate = 2_000_000;

/** How a guest is to be moved. */
export interface MigrationOptions {
  readonly target: string;
  readonly online: boolean;
  readonly withLocalDisks: boolean;
  readonly storageFor: (storage: string) => string;
}

/** Forks the worker of a migration. */
export function startMigration(
  cluster: Cluster,
  guest: Guest,
  options: MigrationOptions,
  user: string,
): string {
  const { node, vmid } = guest;
  const type = guest.type === "qemu" ? "qmigrate" : "vzmigrate";
  const work = (log: TaskLog) => migrateWork(cluster, guest, options, log);
  return cluster.tasks.start({ node, type, id: String(vmid), user, work });
}

/** The reason of a failure stands in the log only; the task just says that it was aborted (PVE::AbstractMigrate migrate). */
function* migrateWork(
  cluster: Cluster,
  guest: Guest,
  options: MigrationOptions,
  log: TaskLog,
): Work {
  const say = (line: string) => log.print(`${stamp(cluster)} ${line}`);
  try {
    yield* cluster.locks.hold(guest, log, () => move(cluster, guest, options, say));
  } catch (failure) {
    if (!(failure instanceof TaskFailure)) throw failure;
    say(`ERROR: migration aborted (duration 00:00:00): ${failure.message}`);
    throw new TaskFailure("migration aborted");
  }
}

function* move(
  cluster: Cluster,
  guest: Guest,
  options: MigrationOptions,
  say: (line: string) => void,
): Work {
  const { target: to, online, withLocalDisks, storageFor } = options;
  refuseLocked(guest);
  const running = guest.run.status === "running";
  if (guest.type === "lxc" && running && online) {
    throw new TaskFailure("lxc live migration is currently not implemented");
  }
  if (!cluster.world.nodes.get(to)?.online) {
    throw new TaskFailure("Can't connect to destination address using public key");
  }
  if (guest.type === "qemu") refuseImmovable(cluster, guest, { running, withLocalDisks });
  else refuseHostMounts(guest);
  const ip = cluster.world.nodes.get(to)?.ip;
  say(`starting migration of ${kindWord(guest.type)} ${guest.vmid} to node '${to}' (${ip})`);
  guest.config["lock"] = "migrate";
  try {
    yield* copy(cluster, guest, say);
  } catch (failure) {
    delete guest.config["lock"];
    if (guest.type === "lxc" && running) {
      say("start container on source node");
      switchOn(cluster, guest);
    }
    throw failure;
  }
  delete guest.config["lock"];
  if (cluster.world.guests.get(guest.vmid) !== guest) return;
  carryDisks(cluster, guest, to, storageFor);
  guest.node = to;
  if (guest.type === "lxc" && running) {
    say("start container on target node");
    switchOn(cluster, guest);
  }
  say("migration finished successfully (duration 00:00:02)");
}

/** A container is shut down first and has its disks copied while it is off. */
function* copy(cluster: Cluster, guest: Guest, say: (line: string) => void): Work {
  if (guest.type === "lxc" && guest.run.status === "running") {
    say(`shutdown CT ${guest.vmid}`);
    yield 2000;
    switchOff(guest);
  }
  if (guest.type === "lxc") refuseSnapshots(cluster, guest, say);
  for (const { volid, volume, cdrom } of localDisks(cluster, guest)) {
    if (cdrom) continue;
    say(`copying local disk image: '${volid}'`);
    yield (volume?.sizeBytes ?? 0) / carryRate;
  }
  yield 2000;
}

/** hamigrate is OK as soon as the request is queued; the CRM moves the guest by a task of its own (PVE::API2::HA). */
export function* queueMigration(cluster: Cluster, guest: Guest, to: string, log: TaskLog): Work {
  const word = kindWord(guest.type);
  log.print(`Requesting HA migration for ${word} ${guest.vmid} to node ${to}`);
  yield 300;
  if (!cluster.world.ha.has(serviceId(guest))) {
    throw new TaskFailure(`no such resource '${serviceId(guest)}'`);
  }
  const cycleMs = 10_000 - (cluster.now % 10_000);
  cluster.events.schedule(cluster.now + cycleMs, () => {
    if (cluster.world.guests.get(guest.vmid) !== guest || guest.node === to) return;
    const online = guest.type === "qemu";
    const options = {
      target: to,
      online,
      withLocalDisks: false,
      storageFor: (storage: string) => storage,
    };
    startMigration(cluster, guest, options, "root@pam");
  });
}

/** `2026-01-31 12:00:00`, as each line of a migration's log begins. */
function stamp({ now }: Cluster): string {
  return new Date(now).toISOString().slice(0, 19).replace("T", " ");
}
