import type { Cluster } from "../cluster.ts";
import { configIdFormat } from "../formats.ts";
import { disksOf, isDiskKey, isTemplate } from "../guest-config.ts";
import { findVolume, guestOf, lockText, switchOff, switchOn } from "../guests.ts";
import { autostart, refuseLocked, taskPrefix } from "../power.ts";
import { died } from "../refusal.ts";
import { type Call, needs, needsAny, type Route } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { type Guest, type GuestType, type Snapshot, volumeKey } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;
const name = { type: "string", format: configIdFormat, maxLength: 40 } as const;

/** Snapshots and templates: PVE::AbstractConfig snapshot_*, PVE::API2::Qemu and LXC template. */
export function snapshotRoutes(): Route[] {
  return (["qemu", "lxc"] as const).flatMap((type) => {
    const path = `/nodes/{node}/${type}/{vmid}`;
    const vmstate = type === "qemu" ? { vmstate: flag } : {};
    return [
      {
        method: "POST",
        path: `${path}/snapshot`,
        permission: needs("/vms/{vmid}", "VM.Snapshot"),
        parameters: { snapname: name, description: text, ...vmstate },
        handle: (call) => create(call, guestOf(call, type)),
      },
      {
        method: "POST",
        path: `${path}/snapshot/{snapname}/rollback`,
        permission: needsAny("/vms/{vmid}", "VM.Snapshot", "VM.Snapshot.Rollback"),
        parameters: { start: flag },
        handle: (call) => goBack(call, guestOf(call, type)),
      },
      {
        method: "DELETE",
        path: `${path}/snapshot/{snapname}`,
        permission: needs("/vms/{vmid}", "VM.Snapshot"),
        parameters: { force: flag },
        handle: (call) => fork(call, guestOf(call, type), "delsnapshot", remove),
      },
      {
        method: "POST",
        path: `${path}/template`,
        permission: needs("/vms/{vmid}", "VM.Allocate"),
        parameters: type === "qemu" ? { disk: text } : {},
        handle: (call) => convert(call, guestOf(call, type)),
      },
    ] satisfies Route[];
  });
}

type Worker = (call: Call, guest: Guest, log: TaskLog) => Work;

/** All of it happens in the worker, under the guest's file lock. */
function fork(call: Call, guest: Guest, verb: string, worker: Worker): string {
  const { cluster, access } = call;
  const { node, vmid } = guest;
  const type = `${taskPrefix(guest)}${verb}`;
  const work = (log: TaskLog) => cluster.locks.hold(guest, log, () => worker(call, guest, log));
  return cluster.tasks.start({ node, type, id: String(vmid), user: access.name, work });
}

const reserved: Readonly<Record<GuestType, readonly string[]>> = {
  qemu: ["current", "pending"],
  lxc: ["current", "pending", "vzdump"],
};

function create(call: Call, guest: Guest): string {
  const { snapname = "" } = call.values;
  if (reserved[guest.type].includes(snapname)) {
    throw died(`unable to use snapshot name '${snapname}' (reserved name)`);
  }
  return fork(call, guest, "snapshot", take);
}

function* take({ cluster, values }: Call, guest: Guest, log: TaskLog): Work {
  const { snapname = "", description = "" } = values;
  refuseLocked(guest);
  if (isTemplate(guest)) throw new TaskFailure("you can't take a snapshot if it's a template");
  if (guest.snapshots.some((other) => other.name === snapname)) {
    throw new TaskFailure(`snapshot name '${snapname}' already used`);
  }
  const { parent, ...whole } = guest.config;
  const config = Object.fromEntries(
    Object.entries(whole).filter(([key]) => !/^unused\d+$/.test(key)),
  );
  refuseRaw(cluster, guest);
  guest.config["lock"] = "snapshot";
  for (const disk of disksOf(guest.type, config).filter(({ cdrom }) => !cdrom)) {
    const drive = guest.type === "qemu" ? `drive-${disk.key}` : disk.key;
    log.print(`snapshotting '${drive}' (${disk.volid})`);
  }
  const ram = values["vmstate"] === "1" && guest.run.status === "running";
  yield ram ? 4000 : 400;
  delete guest.config["lock"];
  guest.snapshots.push({
    name: snapname,
    snaptime: Math.floor(cluster.now / 1000),
    description,
    config,
    ...(parent === undefined ? {} : { parent }),
    ...(ram ? { vmstate: `local-lvm:vm-${guest.vmid}-state-${snapname}` } : {}),
  });
  guest.config["parent"] = snapname;
}

/** Plain raw files have no snapshots (PVE::Storage::Plugin volume_has_feature). */
function refuseRaw(cluster: Cluster, guest: Guest): void {
  for (const disk of disksOf(guest.type, guest.config)) {
    const type = cluster.world.storages.get(disk.storage)?.type;
    const files = type === "dir" || type === "nfs";
    if (files && !disk.cdrom && findVolume(cluster, disk.volid, guest.node)?.format === "raw") {
      throw new TaskFailure("snapshot feature is not available");
    }
  }
}

function named(guest: Guest, snapname = ""): Snapshot {
  const snapshot = guest.snapshots.find((other) => other.name === snapname);
  if (!snapshot) throw new TaskFailure(`snapshot '${snapname}' does not exist`);
  return snapshot;
}

function goBack(call: Call, guest: Guest): string {
  const { access, values } = call;
  if (values["start"] === "1") access.need(`/vms/${guest.vmid}`, "VM.PowerMgmt");
  const { cluster } = call;
  const { node, vmid } = guest;
  const type = `${taskPrefix(guest)}rollback`;
  function* work(log: TaskLog): Work {
    yield* cluster.locks.hold(guest, log, () => rollback(call, guest));
    const off = guest.run.status === "stopped";
    if (values["start"] === "1" && off) yield* autostart(cluster, guest, access.name, log);
  }
  return cluster.tasks.start({ node, type, id: String(vmid), user: access.name, work });
}

/** Stops the guest, takes the config of then; description and unused disks stay as they are. */
function* rollback({ cluster, values }: Call, guest: Guest): Work {
  const snapshot = named(guest, values["snapname"]);
  refuseLocked(guest);
  refuseOlder(cluster, guest, snapshot);
  guest.config["lock"] = "rollback";
  yield 500;
  switchOff(guest);
  const kept = Object.entries(guest.config).filter(
    ([key]) => key === "description" || /^unused\d+$/.test(key),
  );
  const { description: _, ...then } = snapshot.config;
  guest.config = { ...then, ...Object.fromEntries(kept), parent: snapshot.name };
  guest.pending = {};
  guest.pendingDelete = [];
  yield 300;
  if (snapshot.vmstate !== undefined) switchOn(cluster, guest);
}

/** ZFS goes back to the newest snapshot only (PVE::Storage::ZFSPoolPlugin volume_rollback_is_possible). */
function refuseOlder(cluster: Cluster, guest: Guest, snapshot: Snapshot): void {
  const at = guest.snapshots.indexOf(snapshot);
  for (const { volid, storage } of disksOf(guest.type, snapshot.config)) {
    const zfs = cluster.world.storages.get(storage)?.type === "zfspool";
    if (zfs && at < guest.snapshots.length - 1) {
      throw new TaskFailure(
        `can't rollback, '${snapshot.name}' is not most recent snapshot on '${volid}'`,
      );
    }
  }
}

/** Children move to the parent of what is removed. */
function* remove({ values }: Call, guest: Guest): Work {
  const snapshot = named(guest, values["snapname"]);
  refuseLocked(guest);
  guest.config["lock"] = "snapshot-delete";
  yield 400;
  delete guest.config["lock"];
  guest.snapshots = guest.snapshots.filter((other) => other !== snapshot);
  for (const child of guest.snapshots)
    if (child.parent === snapshot.name) reparent(child, snapshot);
  if (guest.config["parent"] === snapshot.name) reparent(guest.config, snapshot);
}

function reparent(child: { parent?: string } | Record<string, string>, gone: Snapshot): void {
  const holder: { parent?: string } = child;
  if (gone.parent === undefined) delete holder.parent;
  else holder.parent = gone.parent;
}

/** A VM answers a UPID, a container null although a task runs. */
function convert(call: Call, guest: Guest): string | null {
  const word = guest.type === "qemu" ? "VM" : "CT";
  const locked = lockText(guest);
  if (locked !== undefined) throw died(locked);
  if (isTemplate(guest)) throw died(`you can't convert a template to a template`);
  if (guest.snapshots.length > 0) {
    throw died(`unable to create template, because ${word} contains snapshots`);
  }
  if (guest.run.status === "running") {
    throw died(`you can't convert a ${word} to template if ${word} is running`);
  }
  const upid = fork(call, guest, "template", makeTemplate);
  return guest.type === "qemu" ? upid : null;
}

function* makeTemplate({ cluster }: Call, guest: Guest): Work {
  refuseLocked(guest);
  guest.config["template"] = "1";
  yield 300;
  for (const [key, value] of Object.entries(guest.config)) {
    if (!isDiskKey(guest.type, key) || value.includes("media=cdrom")) continue;
    const [volid = ""] = value.split(",");
    const volume = findVolume(cluster, volid, guest.node);
    if (!volume) continue;
    cluster.world.volumes.delete(volumeKey(volid, volume.node));
    volume.volid = volid.replace(/\bvm-(\d+-disk-)/, "base-$1");
    cluster.world.volumes.set(volumeKey(volume.volid, volume.node), volume);
    guest.config[key] = value.replace(volid, volume.volid);
  }
}
