import { disksOf, isTemplate } from "../guest-config.ts";
import { guestOf, haManaged, kindWord, purgeGuest, removeGuest } from "../guests.ts";
import { refuseLocked, stopWork, taskPrefix } from "../power.ts";
import { badParameters, died } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import type { Guest, GuestType } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;

/** DELETE /nodes/{node}/{qemu,lxc}/{vmid}: PVE::API2::Qemu destroy_vm, PVE::API2::LXC destroy_vm. */
export function deleteRoutes(): Route[] {
  const shared = { purge: flag, "destroy-unreferenced-disks": flag };
  return [route("qemu", { ...shared, skiplock: flag }), route("lxc", { ...shared, force: flag })];
}

function route(type: GuestType, parameters: Record<string, typeof flag>): Route {
  return {
    method: "DELETE",
    path: `/nodes/{node}/${type}/{vmid}`,
    permission: needs("/vms/{vmid}", "VM.Allocate"),
    parameters,
    handle: (call) => destroy(call, guestOf(call, type)),
  };
}

function destroy(call: Call, guest: Guest): string {
  const { cluster, access, values } = call;
  if (values["skiplock"] !== undefined) {
    throw badParameters({ skiplock: "Only root may use this option." });
  }
  refuseEarly(call, guest);
  const { node, vmid } = guest;
  const type = `${taskPrefix(guest)}destroy`;
  const work = (log: TaskLog) => destroyWork(call, guest, log);
  return cluster.tasks.start({ node, type, id: String(vmid), user: access.name, work });
}

function refuseEarly({ cluster, values }: Call, guest: Guest): void {
  const { vmid } = guest;
  const word = kindWord(guest.type);
  if (guest.config["protection"] === "1") {
    throw died(`can't remove ${word} ${vmid} - protection mode enabled`);
  }
  if (haManaged(cluster, guest) && values["purge"] !== "1") {
    const what = guest.type === "qemu" ? "VM" : "CT";
    throw died(
      `unable to remove ${what} ${vmid} - used in HA resources and purge parameter not set.`,
    );
  }
  if (guest.run.status !== "running" || values["force"] === "1") return;
  throw died(
    guest.type === "qemu"
      ? `VM ${vmid} is running - destroy failed`
      : `unable to destroy CT ${vmid} - container is running`,
  );
}

/** While it runs the config has nothing but `lock: destroyed`. */
function* destroyWork({ cluster, values }: Call, guest: Guest, log: TaskLog): Work {
  const word = kindWord(guest.type);
  if (guest.run.status === "running" && values["force"] === "1")
    yield* stopWork(cluster, guest, log);
  yield* cluster.locks.hold(guest, log, function* () {
    refuseLocked(guest);
    if (guest.run.status === "running") {
      throw new TaskFailure(`${word} ${guest.vmid} is running - destroy failed`);
    }
    refuseUsedBase(cluster.world.volumes.values(), guest);
    const { config } = guest;
    guest.config = { lock: "destroyed" };
    yield 200 + 50 * disksOf(guest.type, config).length;
    guest.config = config;
    removeGuest(cluster, guest);
    if (values["purge"] === "1") {
      log.print(`purging ${word} ${guest.vmid} from related configurations..`);
      purgeGuest(cluster, guest);
    }
  });
}

function refuseUsedBase(volumes: Iterable<{ readonly parent?: string }>, guest: Guest): void {
  if (!isTemplate(guest)) return;
  const own = new Set(disksOf(guest.type, guest.config).map((disk) => disk.volid));
  for (const { parent } of volumes) {
    if (parent !== undefined && own.has(parent)) {
      throw new TaskFailure(`base volume '${parent}' is still in use by linked cloned`);
    }
  }
}
