import { normalValue } from "../config-change.ts";
import { containerConfigParameters, vmConfigParameters } from "../config-parameters.ts";
import { needConfigPrivileges } from "../config-privileges.ts";
import { poolIdFormat, storageIdFormat, volumeIdFormat } from "../formats.ts";
import { disksOf } from "../guest-config.ts";
import { findVolume, removeGuest, takenText } from "../guests.ts";
import type { Parameters } from "../parameters.ts";
import type { Access } from "../permissions.ts";
import { startWork, taskPrefix } from "../power.ts";
import { randomUuid } from "../random.ts";
import { died, forbidden, Refusal } from "../refusal.ts";
import { type Call, type Route, vmidParameter } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { usableStorage } from "../volumes.ts";
import { type Config, type Guest, type GuestType, stoppedGuest } from "../world.ts";

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

/** POST /nodes/{node}/{qemu,lxc}: PVE::API2::Qemu create_vm, PVE::API2::LXC create_vm. Restores are not simulated. */
export function createRoutes(): Route[] {
  const { delete: _, revert: __, digest: ___, ...vm } = vmConfigParameters;
  const { delete: ____, revert: _____, digest: ______, ...container } = containerConfigParameters;
  const text = { type: "string", optional: true } as const;
  return [
    route("qemu", { ...vm, ...shared, "ha-managed": flag }),
    route("lxc", {
      ...container,
      ...shared,
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
    permission: mayCreate,
    parameters,
    handle: (call) => create(call, type),
  };
}

/** VM.Allocate on the new id or on the pool: an `or`, so the refusal names nothing. */
function mayCreate(access: Access, given: Readonly<Record<string, string>>): void {
  if (access.has(`/vms/${given["vmid"]}`, "VM.Allocate")) return;
  if (given["pool"] !== undefined && access.has(`/pool/${given["pool"]}`, "VM.Allocate")) return;
  if (/^[1-9]\d{2,8}$/.test(given["vmid"] ?? "")) throw forbidden();
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

function refuseStorages({ cluster, access, values }: Call, type: GuestType, wanted: Config): void {
  for (const disk of disksOf(type, wanted)) {
    if (!disk.volid.includes(":")) continue;
    usableStorage(cluster, disk.storage, values["node"] ?? "");
    if (!disk.cdrom) access.need(`/storage/${disk.storage}`, "Datastore.AllocateSpace");
  }
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
      for (const [key, value] of Object.entries(wanted)) {
        // tags are put in order by changes, not by the creation
        config[key] = key === "tags" ? value : normalValue(cluster, guest, key, value);
      }
      yield type === "qemu" ? 250 : 2500;
      guest.config = type === "qemu" ? { ...config, ...made(call) } : config;
    } catch (failure) {
      guest.config = config;
      removeGuest(cluster, guest);
      const told = failure instanceof Refusal || failure instanceof MissingVolume;
      throw told ? failed(failure.message) : failure;
    }
  });
  if (values["start"] === "1") yield* startWork(cluster, guest, log);
}

class MissingVolume extends Error {}

function refuseMissing({ cluster, values }: Call, guest: Guest, wanted: Config): void {
  const isos = disksOf(guest.type, wanted).filter(
    ({ cdrom, volid }) => cdrom && volid.includes(":iso/"),
  );
  for (const volid of [...isos.map((disk) => disk.volid), values["ostemplate"] ?? ""]) {
    if (volid !== "" && !findVolume(cluster, volid, guest.node)) {
      throw new MissingVolume(`volume '${volid}' does not exist`);
    }
  }
}

/** What PVE fills in by itself. */
function made({ cluster }: Call): Config {
  const ctime = Math.floor(cluster.now / 1000);
  return {
    meta: `creation-qemu=10.1.2,ctime=${ctime}`,
    smbios1: `uuid=${randomUuid(cluster.random)}`,
    vmgenid: randomUuid(cluster.random),
  };
}
