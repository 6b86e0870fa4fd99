import { applyChange } from "../config-apply.ts";
import { type Change, readChange } from "../config-change.ts";
import { containerConfigParameters, vmConfigParameters } from "../config-parameters.ts";
import { needConfigPrivileges, needDiskPrivileges } from "../config-privileges.ts";
import { lockTimeout } from "../file-locks.ts";
import { digestOf } from "../guest-config.ts";
import { findVolume, guestOf, isAlive, lockText, missingText } from "../guests.ts";
import type { Parameters } from "../parameters.ts";
import { badParameters, died, Refusal } from "../refusal.ts";
import { type Call, needsAny, type Route } from "../route.ts";
import { refuseKeys, unescaped } from "../ssh-keys.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import type { Guest } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const vmParameters: Parameters = {
  ...vmConfigParameters,
  force: { ...flag, requires: "delete" },
  skiplock: flag,
};
const groups = ["Disk", "CDROM", "CPU", "Memory", "Network", "HWType", "Options", "Cloudinit"];
const containerGroups = ["Disk", "CPU", "Memory", "Network", "Options"];

/** PVE::API2::Qemu update_vm and update_vm_async, PVE::API2::LXC::Config update_vm. */
export function configRoutes(): Route[] {
  const permission = needsAny("/vms/{vmid}", ...groups.map((name) => `VM.Config.${name}`));
  const path = "/nodes/{node}/qemu/{vmid}/config";
  return [
    { method: "PUT", path, permission, parameters: vmParameters, handle: putVm },
    {
      method: "POST",
      path,
      permission,
      parameters: {
        ...vmParameters,
        background_delay: { type: "integer", optional: true, minimum: 1, maximum: 30 },
        "import-working-storage": { type: "string", optional: true },
      },
      handle: postVm,
    },
    {
      method: "PUT",
      path: "/nodes/{node}/lxc/{vmid}/config",
      permission: needsAny("/vms/{vmid}", ...containerGroups.map((name) => `VM.Config.${name}`)),
      parameters: containerConfigParameters,
      handle: putContainer,
    },
  ];
}

/** PUT: synchronous, null. */
async function putVm(call: Call): Promise<null> {
  const { change, guest } = prepareVm(call);
  await underFileLock(call, guest, () => {
    refuseChange(guest, change);
    carryOutVm(call, guest, change);
  });
  return null;
}

/** POST: a task; with background_delay null when it was quick enough, which it is here. */
function postVm(call: Call): string | null {
  const { change, guest } = prepareVm(call);
  if (change.digest !== undefined) refuseDigest(guest, change);
  const { cluster, access } = call;
  const { node, vmid } = guest;
  const work = (log: TaskLog) => configWork(call, guest, change, log);
  const upid = cluster.tasks.start({
    node,
    type: "qmconfig",
    id: String(vmid),
    user: access.name,
    work,
  });
  return call.values["background_delay"] === undefined ? upid : null;
}

function* configWork(call: Call, guest: Guest, change: Change, log: TaskLog): Work {
  yield* call.cluster.locks.hold(guest, log, function* () {
    yield 40;
    try {
      refuseChange(guest, change);
      log.print(`update VM ${guest.vmid}: ${describe(change)}`);
      carryOutVm(call, guest, change);
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      throw new TaskFailure(inTask(refusal));
    }
  });
}

/** PVE::Exception stringify, its lines folded. */
function inTask({ status, message, errors }: Refusal): string {
  if (errors === undefined) return message;
  const texts = Object.entries(errors).map(([key, text]) => `${key}: ${text}`);
  return [`${status} ${message}`, ...texts].join(" ");
}

function prepareVm(call: Call): { change: Change; guest: Guest } {
  const { values, access } = call;
  if (values["skiplock"] !== undefined) {
    throw badParameters({ skiplock: "Only root may use this option." });
  }
  const change = readChange(values, vmConfigParameters);
  refuseNothing(change);
  refuseKeys(unescaped(change.set["sshkeys"] ?? ""));
  const vmid = Number(values["vmid"]);
  const cleared = Object.fromEntries([...change.remove, ...change.revert].map((key) => [key, ""]));
  needConfigPrivileges(access, { type: "qemu", vmid }, { ...cleared, ...change.set });
  needDisks(call, change);
  return { change, guest: guestOf(call, "qemu") };
}

function needDisks({ cluster, access, values }: Call, { set }: Change): void {
  const { node = "", vmid } = values;
  const ownerOf = (volid: string) => findVolume(cluster, volid, node)?.vmid;
  needDiskPrivileges(access, { vmid: Number(vmid) }, set, ownerOf);
}

function refuseNothing(change: Change): void {
  if (Object.keys(change.set).length + change.remove.length + change.revert.length > 0) return;
  throw died("no options specified");
}

function refuseChange(guest: Guest, change: Change): void {
  refuseDigest(guest, change);
  const locked = lockText(guest);
  if (locked !== undefined) throw died(locked);
}

function refuseDigest(guest: Guest, { digest }: Change): void {
  if (digest === undefined || digest === digestOf(guest)) return;
  throw died(
    guest.type === "qemu"
      ? "checksum mismatch (file change by other user?)"
      : "detected modified configuration - file changed by other user? Try again.",
  );
}

/** A VM's change stands in the cluster log, a container's does not. */
function carryOutVm({ cluster, access }: Call, guest: Guest, change: Change): void {
  applyChange(cluster, guest, change);
  const text = `update VM ${guest.vmid}: ${describe(change)}`;
  cluster.log.write(cluster.now, guest.node, access.name, text);
}

function describe({ set, remove, revert, digest }: Change): string {
  const shown: Record<string, string> = { ...set };
  if (remove.length > 0) shown["delete"] = remove.join(",");
  if (revert.length > 0) shown["revert"] = revert.join(",");
  if (digest !== undefined) shown["digest"] = digest;
  if (shown["cipassword"] !== undefined) shown["cipassword"] = "<hidden>";
  return Object.keys(shown)
    .sort()
    .map((key) => `-${key} ${shown[key]}`)
    .join(" ");
}

async function putContainer(call: Call): Promise<null> {
  const { values, access } = call;
  const change = readChange(values, containerConfigParameters);
  refuseNothing(change);
  const vmid = Number(values["vmid"]);
  const cleared = Object.fromEntries(change.remove.map((key) => [key, ""]));
  needConfigPrivileges(access, { type: "lxc", vmid }, { ...cleared, ...change.set });
  needDisks(call, change);
  const guest = guestOf(call, "lxc");
  await underFileLock(call, guest, () => {
    refuseChange(guest, change);
    applyChange(call.cluster, guest, change);
  });
  return null;
}

/** Waits up to 10 s for the guest's file lock, as every synchronous change does. */
async function underFileLock(call: Call, guest: Guest, body: () => void): Promise<void> {
  const { cluster } = call;
  for (let waited = 0; !cluster.locks.tryExclusive(guest.vmid); waited += 500) {
    if (waited >= 10_000) throw died(lockTimeout(guest));
    await cluster.wait(500);
  }
  try {
    if (!isAlive(cluster, guest)) throw died(missingText(guest.node, guest.type, guest.vmid));
    body();
  } finally {
    cluster.locks.releaseExclusive(guest.vmid);
  }
}
