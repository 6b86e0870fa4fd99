import { nodeFormat } from "../formats.ts";
import { disksOf } from "../guest-config.ts";
import { findVolume, guestOf, lockText, switchOff, switchOn } from "../guests.ts";
import { refuseLocked, taskPrefix } from "../power.ts";
import { badParameters, died } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { type Guest, type GuestType, volumeKey } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;

/** Migration: PVE::API2::Qemu, PVE::API2::LXC, PVE::AbstractMigrate. */
export function moveRoutes(): Route[] {
  const target = { target: { type: "string", format: nodeFormat }, online: flag } as const;
  return [
    migrateRoute("qemu", { ...target, "with-local-disks": flag, targetstorage: text }),
    migrateRoute("lxc", {
      ...target,
      restart: flag,
      "target-storage": text,
      timeout: { type: "integer", optional: true },
    }),
  ];
}

function migrateRoute(type: GuestType, parameters: NonNullable<Route["parameters"]>): Route {
  return {
    method: "POST",
    path: `/nodes/{node}/${type}/{vmid}/migrate`,
    permission: needs("/vms/{vmid}", "VM.Migrate"),
    parameters,
    handle: (call) => migrate(call, guestOf(call, type)),
  };
}

function migrate(call: Call, guest: Guest): string {
  const { cluster, access, values } = call;
  const { target = "" } = values;
  if (target === guest.node) throw badParameters({ target: "target is local node." });
  if (!cluster.world.nodes.has(target)) throw died(`no such cluster node '${target}'`);
  const locked = lockText(guest);
  if (locked !== undefined) throw died(locked);
  const running = guest.run.status === "running";
  if (guest.type === "qemu" && running && values["online"] !== "1") {
    throw died("can't migrate running VM without --online");
  }
  if (guest.type === "lxc" && running && values["restart"] !== "1") {
    throw died("lxc live migration is currently not implemented");
  }
  const { node, vmid } = guest;
  const type = `${taskPrefix(guest)}migrate`;
  const work = (log: TaskLog) => migrateWork(call, guest, log);
  return cluster.tasks.start({ node, type, id: String(vmid), user: access.name, work });
}

/** The node changes at the end; local disks go along. */
function* migrateWork({ cluster, values }: Call, guest: Guest, log: TaskLog): Work {
  const { target = "" } = values;
  yield* cluster.locks.hold(guest, log, function* () {
    refuseLocked(guest);
    if (!cluster.world.nodes.get(target)?.online) throw new TaskFailure("migration aborted");
    const running = guest.run.status === "running";
    const local = disksOf(guest.type, guest.config).filter(
      ({ volid }) => findVolume(cluster, volid, guest.node)?.node === guest.node,
    );
    if (
      guest.type === "qemu" &&
      running &&
      local.length > 0 &&
      values["with-local-disks"] !== "1"
    ) {
      log.print(
        `ERROR: migration aborted: can't live migrate attached local disks without with-local-disks option`,
      );
      throw new TaskFailure("migration aborted");
    }
    log.print(
      `starting migration of ${guest.type === "qemu" ? "VM" : "CT"} ${guest.vmid} to node '${target}'`,
    );
    guest.config["lock"] = "migrate";
    if (guest.type === "lxc" && running) switchOff(guest);
    yield 2000 + local.reduce((sum, disk) => sum + disk.sizeBytes / 2_000_000, 0);
    delete guest.config["lock"];
    for (const { volid } of local) moveVolume(cluster.world.volumes, volid, guest.node, target);
    guest.node = target;
    if (guest.type === "lxc" && running) switchOn(cluster, guest);
    log.print("migration finished successfully (duration 00:00:02)");
  });
}

function moveVolume(
  volumes: Call["cluster"]["world"]["volumes"],
  volid: string,
  from: string,
  to: string,
): void {
  const volume = volumes.get(volumeKey(volid, from));
  if (!volume) return;
  volumes.delete(volumeKey(volid, from));
  volumes.set(volumeKey(volid, to), { ...volume, node: to });
}
