import { normalValue } from "../config-change.ts";
import { containerConfigParameters, vmConfigParameters } from "../config-parameters.ts";
import { needConfigPrivileges } from "../config-privileges.ts";
import { poolIdFormat, storageIdFormat, volumeIdFormat } from "../formats.ts";
import { refuseStorages } from "../guest-storages.ts";
import { removeGuest, takenText } from "../guests.ts";
import { importDisks, MissingVolume, refuseMissing } from "../import-disks.ts";
import type { Parameters } from "../parameters.ts";
import { startWork, taskPrefix } from "../power.ts";
import { randomUuid } from "../random.ts";
import { died, forbidden, Refusal } from "../refusal.ts";
import { type Call, type Route, vmidParameter } from "../route.ts";
import { refuseKeys, unescaped } from "../ssh-keys.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { type Config, type Guest, type GuestType, stoppedGuest } from "../world.ts";
import { isRestore, restore, restoreParameters } from "./restore.ts";

const flag = { type: "boolean", optional: true } as const;
const shared: Parameters = {
  vmid: vmidParameter,
  pool: { type: "string", optional: true, format: poolIdFormat },
  storage: { type: "string", optional: true, format: storageIdFormat },
  start: flag,
  unique: flag,
};
const control = new Set(
  "node vmid pool storage start unique ostemplate password ssh-public-keys".split(" "),
);

/** POST /nodes/{node}/{qemu,lxc}: PVE::API2::Qemu create_vm, PVE::API2::LXC create_vm; what comes from a backup is restored. */
export function createRoutes(): Route[] {
  const { delete: _, revert: __, digest: ___, ...vm } = vmConfigParameters;
  const { delete: ____, revert: _____, digest: ______, ...container } = containerConfigParameters;
  const text = { type: "string", optional: true } as const;
  return [
    route("qemu", { ...vm, ...shared, ...restoreParameters.qemu, "ha-managed": flag }),
    route("lxc", {
      ...container,
      ...shared,
      ...restoreParameters.lxc,
      ostemplate: { type: "string", format: volumeIdFormat },
      password: { ...text, minLength: 5 },
      "ssh-public-keys": text,
    }),
  ];
}

function route(type: GuestType, parameters: Parameters): Route {
  return {
    method: "POST",
    path: `/nodes/{node}/${type}`,
    parameters,
    // Declared for everybody: who may is judged in the code, once node and parameters are in order.
    handle: (call) => {
      mayCreate(call);
      return isRestore(call.values, type) ? restore(call, type) : create(call, type);
    },
  };
}

/** VM.Allocate on the new id or on the pool: an `or`, so the refusal names nothing. */
function mayCreate({ access, values }: Call): void {
  if (access.has(`/vms/${values["vmid"]}`, "VM.Allocate")) return;
  // Restores look for themselves, also whether there is a guest to write over.
  if (isRestore(values, "qemu") || isRestore(values, "lxc")) return;
  if (values["pool"] !== undefined && access.has(`/pool/${values["pool"]}`, "VM.Allocate")) return;
  throw forbidden();
}

/** Synchronous: privileges, pool, storages, the id. The config exists, locked, when the answer goes out. */
function create(call: Call, type: GuestType): string {
  const { cluster, access, values } = call;
  const { node = "", pool } = values;
  const vmid = Number(values["vmid"]);
  const wanted = Object.fromEntries(Object.entries(values).filter(([key]) => !control.has(key)));
  if (type === "lxc") Object.assign(wanted, containerDefaults(call, wanted));
  if (pool !== undefined && !cluster.world.pools.has(pool)) {
    throw forbidden(`pool '${pool}' does not exist`);
  }
  needConfigPrivileges(access, { type, vmid }, wanted);
  refuseStorages(call, type, wanted);
  refuseKeys(unescaped(wanted["sshkeys"] ?? "") || (values["ssh-public-keys"] ?? ""));
  if (type === "lxc") refuseContainer(call, wanted);
  const taken = takenText(cluster, vmid);
  if (taken !== undefined) {
    throw died(type === "qemu" ? `unable to create VM ${vmid} - ${taken}` : taken);
  }
  const guest = stoppedGuest({ vmid, type, node, config: { lock: "create" } });
  cluster.world.guests.set(vmid, guest);
  if (pool !== undefined) cluster.world.pools.get(pool)?.vmids.add(vmid);
  const task = { node, type: `${taskPrefix(guest)}create`, id: String(vmid), user: access.name };
  return cluster.tasks.start({ ...task, work: (log) => createWork(call, guest, wanted, log) });
}

/** PVE::API2::LXC create_vm: the template may be read and is one; what only root or a system's modifier may. */
function refuseContainer({ access, values }: Call, wanted: Config): void {
  const { ostemplate = "" } = values;
  const [, storage = "", kind] = /^([^:]+):([^/]+)\//.exec(ostemplate) ?? [];
  access.needAny(`/storage/${storage}`, ["Datastore.AllocateSpace", "Datastore.Audit"]);
  if (kind !== "vztmpl" && kind !== "backup") {
    throw died(`unable to use volume ${ostemplate} - content type needs to be 'vztmpl'`);
  }
  const root = access.identity.user.id === "root@pam" && !access.identity.token;
  if (wanted["unprivileged"] === "0") {
    access.need("/", "Sys.Modify");
    if (!root && wanted["features"] !== undefined) {
      throw forbidden(
        "changing feature flags for privileged container is only allowed for root@pam",
      );
    }
  }
  for (const [key, value] of Object.entries(wanted)) {
    if (!root && /^mp\d+$/.test(key) && value.startsWith("/")) {
      throw forbidden("mount point type bind is only allowed for root@pam");
    }
  }
}

function containerDefaults({ values }: Call, wanted: Config): Config {
  const { vmid = "", storage = "local" } = values;
  return {
    rootfs: wanted["rootfs"] ?? `${storage}:4`,
    hostname: wanted["hostname"] ?? `CT${vmid}`,
    memory: wanted["memory"] ?? "512",
    swap: wanted["swap"] ?? "512",
    unprivileged: wanted["unprivileged"] ?? "1",
    arch: wanted["arch"] ?? "amd64",
    ostype: wanted["ostype"] ?? "debian",
  };
}

/** On failure disks and config are removed again. */
function* createWork(call: Call, guest: Guest, wanted: Config, log: TaskLog): Work {
  const { cluster, values } = call;
  const { vmid, type } = guest;
  const failed = (text: string) =>
    new TaskFailure(`unable to create ${type === "qemu" ? "VM" : "CT"} ${vmid} - ${text}`);
  yield* cluster.locks.hold(guest, log, function* () {
    const config: Config = {};
    try {
      refuseMissing(call, guest, wanted);
      yield* importDisks(cluster, guest, wanted, log);
      for (const [key, value] of Object.entries(wanted)) {
        // tags are put in order by changes, not by the creation
        config[key] = key === "tags" ? value : normalValue(cluster, guest, key, value);
      }
      yield type === "qemu" ? 250 : 2500;
      guest.config = type === "qemu" ? { ...config, ...made(call, config) } : config;
    } catch (failure) {
      guest.config = config;
      removeGuest(cluster, guest);
      const told = failure instanceof Refusal || failure instanceof MissingVolume;
      throw told ? failed(failure.message) : failure;
    }
  });
  if (values["start"] === "1") yield* startWork(cluster, guest, log);
}

/** What PVE fills in by itself: the UUIDs where none were given (`vmgenid` 1 asks for one). */
function made({ cluster }: Call, { smbios1, vmgenid }: Config): Config {
  const ctime = Math.floor(cluster.now / 1000);
  return {
    meta: `creation-qemu=10.1.2,ctime=${ctime}`,
    smbios1: smbios1 ?? `uuid=${randomUuid(cluster.random)}`,
    vmgenid: vmgenid === undefined || vmgenid === "1" ? randomUuid(cluster.random) : vmgenid,
  };
}
