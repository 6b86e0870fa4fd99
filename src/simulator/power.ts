import type { Cluster } from "./cluster.ts";
import { isTemplate } from "./guest-config.ts";
import { kindWord, lockText, switchOff, switchOn } from "./guests.ts";
import { readProperties } from "./property-string.ts";
import { steadyFigure } from "./random.ts";
import { TaskFailure, type TaskLog, type Work } from "./tasks.ts";
import type { Guest } from "./world.ts";
import { serviceId } from "./world.ts";

/** `qm` or `vz`: how task types begin. */
export function taskPrefix(guest: Guest): "qm" | "vz" {
  return guest.type === "qemu" ? "qm" : "vz";
}

/** Ends the worker when somebody locked the guest. */
export function refuseLocked(guest: Guest): void {
  const text = lockText(guest);
  if (text !== undefined) throw new TaskFailure(text);
}

/** qmstart, vzstart: everything is judged in the worker (QemuServer vm_start, LXC vm_start). */
export function* startWork(cluster: Cluster, guest: Guest, log: TaskLog): Work {
  yield* cluster.locks.hold(guest, log, function* () {
    const suspended = guest.config["lock"] === "suspended";
    if (!suspended) refuseLocked(guest);
    if (isTemplate(guest)) {
      const what = guest.type === "qemu" ? "vm" : "CT";
      throw new TaskFailure(`you can't start a ${what} if it's a template`);
    }
    if (guest.run.status === "running") {
      throw new TaskFailure(`${kindWord(guest.type)} ${guest.vmid} already running`);
    }
    checkBridges(cluster, guest);
    checkMappings(cluster, guest);
    if (suspended) log.print("Resuming suspended VM");
    if (guest.config["bios"] === "ovmf" && guest.config["efidisk0"] === undefined) {
      log.warn("no efidisk configured! Using temporary efivars disk.");
    }
    yield guest.type === "qemu" ? 1500 : 700;
    if (suspended) forgetSuspension(guest);
    switchOn(cluster, guest);
    yield 120;
  });
}

function checkBridges(cluster: Cluster, guest: Guest): void {
  for (const [key, value] of Object.entries(guest.config)) {
    if (!/^net\d+$/.test(key)) continue;
    const bridge = readProperties(value, "model")["bridge"];
    if (bridge !== undefined && !cluster.world.bridges.has(bridge)) {
      throw new TaskFailure(`bridge '${bridge}' does not exist`);
    }
  }
}

/** PVE::QemuServer::PCI parse_hostpci: whether a mapping is there is seen at the start only. */
function checkMappings(cluster: Cluster, guest: Guest): void {
  for (const [key, value] of Object.entries(guest.config)) {
    const mapping = /^hostpci\d+$/.test(key) ? readProperties(value, "host")["mapping"] : undefined;
    if (mapping === undefined || cluster.world.pciMappings?.has(mapping)) continue;
    throw new TaskFailure(`PCI device mapping not found for '${mapping}'`);
  }
}

function forgetSuspension(guest: Guest): void {
  for (const key of ["lock", "vmstate", "runningmachine", "runningcpu"]) delete guest.config[key];
}

/** qmstop, vzstop: a stopped VM is fine (QemuServer vm_stop). */
export function* stopWork(cluster: Cluster, guest: Guest, log: TaskLog): Work {
  yield* cluster.locks.hold(guest, log, function* () {
    if (guest.run.status !== "running") return;
    refuseLocked(guest);
    yield 300;
    switchOff(guest);
    yield 150;
  });
}

export interface Shutdown {
  readonly timeoutMs: number;
  readonly forceStop: boolean;
}

/** qmshutdown, vzshutdown: holds the file lock until the guest is down or the time is over. */
export function* shutdownWork(
  cluster: Cluster,
  guest: Guest,
  log: TaskLog,
  { timeoutMs, forceStop }: Shutdown,
): Work {
  yield* cluster.locks.hold(guest, log, function* () {
    if (guest.run.status !== "running") return;
    refuseLocked(guest);
    const deadline = cluster.now + timeoutMs;
    pressPowerButton(cluster, guest);
    while (guest.run.status === "running" && cluster.now < deadline) {
      yield Math.min(500, deadline - cluster.now);
    }
    if (guest.run.status !== "running") return;
    if (!forceStop) throw new TaskFailure(shutdownTimeout(guest));
    if (guest.type === "qemu") log.print("VM quit/powerdown failed - terminating now with SIGTERM");
    yield 400;
    switchOff(guest);
  });
}

function shutdownTimeout(guest: Guest): string {
  return guest.type === "qemu"
    ? "VM quit/powerdown failed - got timeout"
    : "container did not stop";
}

/** The guest goes down by itself, whether or not anybody still waits; unless it ignores ACPI. */
function pressPowerButton(cluster: Cluster, guest: Guest): void {
  const { pid } = guest.run;
  const lean = steadyFigure(`shutdown ${guest.vmid}`);
  const usual = guest.type === "qemu" ? 4000 + 16_000 * lean : 1500 + 4000 * lean;
  const { shutdownMs = usual } = guest.traits;
  if (shutdownMs === "never" || guest.run.qmpstatus === "paused") return;
  cluster.events.schedule(cluster.now + shutdownMs, () => {
    if (guest.run.pid === pid) switchOff(guest);
  });
}

/** Milliseconds to wait for a shutdown: as asked, else `startup: down=`, else 60 s. */
export function shutdownTimeoutMs(guest: Guest, asked: string | undefined): number {
  const down = readProperties(guest.config["startup"] ?? "", "order")["down"];
  return Number(asked ?? down ?? 60) * 1000;
}

/** A start by root@pam: qmeventd after a reboot, the CRM. */
export function startByHost(cluster: Cluster, guest: Guest): void {
  const { node, vmid } = guest;
  const type = `${taskPrefix(guest)}start`;
  const work = (log: TaskLog) => startWork(cluster, guest, log);
  cluster.tasks.start({ node, type, id: String(vmid), user: "root@pam", work });
}

/** hastart, hastop: OK as soon as the request is queued (PVE::API2::HA). */
export function* queueHa(
  cluster: Cluster,
  guest: Guest,
  log: TaskLog,
  request: "started" | "stopped",
): Work {
  const resource = cluster.world.ha.get(serviceId(guest));
  const word = request === "started" ? "start" : "stop";
  log.print(`Requesting HA ${word} for ${kindWord(guest.type)} ${guest.vmid}`);
  yield 300;
  if (!resource) throw new TaskFailure(`no such resource '${serviceId(guest)}'`);
  resource.request = request;
  const cycleMs = 10_000 - (cluster.now % 10_000);
  cluster.events.schedule(cluster.now + cycleMs, () => actOfCrm(cluster, guest, request));
}

/** The CRM's own task, by root@pam on the guest's node. */
function actOfCrm(cluster: Cluster, guest: Guest, request: "started" | "stopped"): void {
  if (cluster.world.guests.get(guest.vmid) !== guest) return;
  const running = guest.run.status === "running";
  if (request === "started" && !running) startByHost(cluster, guest);
  if (request !== "stopped" || !running) return;
  const shutdown = { timeoutMs: shutdownTimeoutMs(guest, undefined), forceStop: true };
  cluster.tasks.start({
    node: guest.node,
    type: `${taskPrefix(guest)}shutdown`,
    id: String(guest.vmid),
    user: "root@pam",
    work: (log) => shutdownWork(cluster, guest, log, shutdown),
  });
}

/** A start inside a worker, after a restore or a rollback: by a task of its own, whose failure is not told. */
export function* autostart(cluster: Cluster, guest: Guest, user: string, log: TaskLog): Work {
  log.print("Execute autostart");
  const { node, vmid } = guest;
  const task = { node, id: String(vmid), user, type: `${taskPrefix(guest)}start` };
  const upid = cluster.tasks.start({ ...task, work: (own) => startWork(cluster, guest, own) });
  while (cluster.tasks.find(upid)?.endtime === undefined) yield 100;
}
