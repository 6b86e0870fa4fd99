import { guestOf, haManaged, kindWord, switchOff, switchOn } from "../guests.ts";
import type { Parameters } from "../parameters.ts";
import {
  queueHa,
  refuseLocked,
  type Shutdown,
  shutdownTimeoutMs,
  shutdownWork,
  startByHost,
  startWork,
  stopWork,
  taskPrefix,
} from "../power.ts";
import { badParameters, died } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import type { TaskLog, Work } from "../tasks.ts";
import type { Guest, GuestType } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const seconds = { type: "integer", optional: true, minimum: 0 } as const;
const text = { type: "string", optional: true } as const;

type Handler = (call: Call, guest: Guest) => string;

/** POST /nodes/{node}/{qemu,lxc}/{vmid}/status/…: PVE::API2::Qemu, PVE::API2::LXC::Status. All answer a UPID. */
export function powerRoutes(): Route[] {
  return [
    action("qemu", "start", { skiplock: flag, timeout: seconds, machine: text }, start),
    action(
      "qemu",
      "stop",
      { skiplock: flag, timeout: seconds, keepActive: flag, "overrule-shutdown": flag },
      stop,
    ),
    action(
      "qemu",
      "shutdown",
      { skiplock: flag, timeout: seconds, forceStop: flag, keepActive: flag },
      shutdown,
    ),
    action("qemu", "reboot", { timeout: seconds }, reboot),
    action("qemu", "reset", { skiplock: flag }, reset),
    action(
      "qemu",
      "suspend",
      { skiplock: flag, todisk: flag, statestorage: { ...text, requires: "todisk" } },
      suspend,
    ),
    action("qemu", "resume", { skiplock: flag, nocheck: flag }, resume),
    action("lxc", "start", { skiplock: flag, debug: flag }, start),
    action("lxc", "stop", { skiplock: flag, "overrule-shutdown": flag }, stop),
    action("lxc", "shutdown", { timeout: seconds, forceStop: flag }, shutdown),
    action("lxc", "reboot", { timeout: seconds }, reboot),
    action("lxc", "suspend", {}, suspendContainer),
    action("lxc", "resume", {}, resumeContainer),
  ];
}

function action(type: GuestType, name: string, parameters: Parameters, run: Handler): Route {
  return {
    method: "POST",
    path: `/nodes/{node}/${type}/{vmid}/status/${name}`,
    permission: needs("/vms/{vmid}", "VM.PowerMgmt"),
    parameters,
    handle: (call) => {
      if (call.values["skiplock"] !== undefined) {
        throw badParameters({ skiplock: "Only root may use this option." });
      }
      return run(call, guestOf(call, type));
    },
  };
}

/** Forks a worker of the caller for a guest. */
function fork(call: Call, guest: Guest, verb: string, work: (log: TaskLog) => Work): string {
  const { node, vmid } = guest;
  const type = verb.startsWith("ha") ? verb : `${taskPrefix(guest)}${verb}`;
  return call.cluster.tasks.start({ node, type, id: String(vmid), user: call.access.name, work });
}

/** 500 at once, before any task. */
function needRunning(guest: Guest, word = kindWord(guest.type)): void {
  if (guest.run.status !== "running") throw died(`${word} ${guest.vmid} not running`);
}

function start(call: Call, guest: Guest): string {
  const { cluster } = call;
  if (guest.type === "lxc" && guest.run.status === "running") {
    throw died(`CT ${guest.vmid} already running`);
  }
  if (haManaged(cluster, guest)) {
    return fork(call, guest, "hastart", (log) => queueHa(cluster, guest, log, "started"));
  }
  return fork(call, guest, "start", (log) => startWork(cluster, guest, log));
}

function stop(call: Call, guest: Guest): string {
  const { cluster } = call;
  if (guest.type === "lxc") needRunning(guest);
  const overrule = call.values["overrule-shutdown"] === "1";
  if (haManaged(cluster, guest)) {
    if (overrule) throw died("cannot overrule shutdown of HA managed guests");
    return fork(call, guest, "hastop", (log) => queueHa(cluster, guest, log, "stopped"));
  }
  if (overrule) abortShutdowns(call, guest);
  return fork(call, guest, "stop", (log) => stopWork(cluster, guest, log));
}

/** Only tasks that the caller may stop (PVE::GuestHelpers abort_guest_tasks). */
function abortShutdowns({ cluster, access }: Call, guest: Guest): void {
  const type = `${taskPrefix(guest)}shutdown`;
  for (const task of cluster.tasks.list(guest.node)) {
    if (task.endtime !== undefined || task.type !== type || task.id !== String(guest.vmid))
      continue;
    if (task.user === access.name || access.has(`/nodes/${guest.node}`, "Sys.Modify")) {
      cluster.tasks.stop(task.upid);
    }
  }
}

function shutdown(call: Call, guest: Guest): string {
  const { cluster, values } = call;
  if (guest.type === "lxc") needRunning(guest);
  const forceStop = values["forceStop"] === "1";
  let order: Shutdown = { timeoutMs: shutdownTimeoutMs(guest, values["timeout"]), forceStop };
  if (guest.run.qmpstatus === "paused") {
    if (!forceStop) throw died("VM is paused - cannot shutdown");
    order = { timeoutMs: 0, forceStop };
  }
  if (haManaged(cluster, guest)) {
    return fork(call, guest, "hastop", (log) => queueHa(cluster, guest, log, "stopped"));
  }
  return fork(call, guest, "shutdown", (log) => shutdownWork(cluster, guest, log, order));
}

/** qmreboot ends when the VM is down; qmeventd starts it again about a second later. vzreboot does both. */
function reboot(call: Call, guest: Guest): string {
  const { cluster, values } = call;
  if (guest.run.qmpstatus === "paused") throw died("VM is paused - cannot shutdown");
  needRunning(guest, "VM");
  const order = { timeoutMs: shutdownTimeoutMs(guest, values["timeout"]), forceStop: false };
  return fork(call, guest, "reboot", function* (log) {
    yield* shutdownWork(cluster, guest, log, order);
    if (guest.type === "lxc") return yield* startWork(cluster, guest, log);
    cluster.events.schedule(cluster.now + 400, () => startByHost(cluster, guest));
  });
}

function reset(call: Call, guest: Guest): string {
  needRunning(guest);
  return fork(call, guest, "reset", function* (log) {
    yield* call.cluster.locks.hold(guest, log, function* () {
      refuseLocked(guest);
      yield 50;
      guest.run = { ...guest.run, since: call.cluster.now };
    });
  });
}

function suspend(call: Call, guest: Guest): string {
  const { cluster, values } = call;
  needRunning(guest);
  if (values["todisk"] === "1") {
    call.access.need(`/vms/${guest.vmid}`, "VM.Config.Disk");
    return fork(call, guest, "suspend", (log) => hibernate(call, guest, log));
  }
  return fork(call, guest, "pause", function* (log) {
    yield* cluster.locks.hold(guest, log, function* () {
      refuseLocked(guest);
      yield 60;
      guest.run.qmpstatus = "paused";
    });
  });
}

/** Lock `suspending`, then stopped with lock `suspended` and a vmstate volume. */
function* hibernate({ cluster }: Call, guest: Guest, log: TaskLog): Work {
  yield* cluster.locks.hold(guest, log, function* () {
    refuseLocked(guest);
    guest.config["lock"] = "suspending";
    log.print("saving VM state and RAM using storage 'local-lvm'");
    yield 3000;
    log.print("completed saving the VM state in 3s, saved 512.00 MiB");
    guest.config["lock"] = "suspended";
    const day = new Date(cluster.now).toISOString().slice(0, 10);
    guest.config["vmstate"] = `local-lvm:vm-${guest.vmid}-state-suspend-${day}`;
    switchOff(guest);
  });
}

function resume(call: Call, guest: Guest): string {
  const { cluster } = call;
  const suspended = guest.config["lock"] === "suspended";
  if (!suspended) needRunning(guest);
  return fork(call, guest, "resume", function* (log) {
    if (suspended) return yield* startWork(cluster, guest, log);
    yield* cluster.locks.hold(guest, log, function* () {
      refuseLocked(guest);
      yield 60;
      guest.run.qmpstatus = "running";
    });
  });
}

function suspendContainer(call: Call, guest: Guest): string {
  needRunning(guest);
  return fork(call, guest, "suspend", function* () {
    yield 800;
    switchOff(guest);
  });
}

function resumeContainer(call: Call, guest: Guest): string {
  if (guest.run.status === "running") throw died(`CT ${guest.vmid} already running`);
  return fork(call, guest, "resume", function* () {
    yield 800;
    switchOn(call.cluster, guest);
  });
}
