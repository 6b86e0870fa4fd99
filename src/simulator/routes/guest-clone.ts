import { type CloneOrder, cloneContainer, cloneVm } from "../clone.ts";
import { needBridges } from "../config-privileges.ts";
import {
  configIdFormat,
  dnsNameFormat,
  nodeFormat,
  poolIdFormat,
  storageIdFormat,
} from "../formats.ts";
import { disksOf, isTemplate } from "../guest-config.ts";
import { findVolume, guestOf, lockText, takenText } from "../guests.ts";
import type { Parameters } from "../parameters.ts";
import type { Access } from "../permissions.ts";
import { taskPrefix } from "../power.ts";
import { died, forbidden } from "../refusal.ts";
import { type Call, type Route, vmidParameter } from "../route.ts";
import { usableStorage } from "../volumes.ts";
import { type Config, type Guest, type GuestType, stoppedGuest } from "../world.ts";

const shared: Parameters = {
  newid: vmidParameter,
  target: { type: "string", optional: true, format: nodeFormat },
  storage: { type: "string", optional: true, format: storageIdFormat },
  full: { type: "boolean", optional: true },
  snapname: { type: "string", optional: true, format: configIdFormat, maxLength: 40 },
  pool: { type: "string", optional: true, format: poolIdFormat },
  description: { type: "string", optional: true },
};

/** POST /nodes/{node}/{qemu,lxc}/{vmid}/clone: PVE::API2::Qemu clone_vm, PVE::API2::LXC clone_vm. */
export function cloneRoutes(): Route[] {
  const name = { type: "string", optional: true, format: dnsNameFormat } as const;
  return [
    route("qemu", {
      ...shared,
      name,
      format: { type: "string", optional: true, enum: ["raw", "qcow2", "vmdk"] },
      bwlimit: { type: "integer", optional: true, minimum: 0 },
    }),
    route("lxc", {
      ...shared,
      hostname: name,
      bwlimit: { type: "number", optional: true, minimum: 0 },
    }),
  ];
}

function route(type: GuestType, parameters: Parameters): Route {
  return {
    method: "POST",
    path: `/nodes/{node}/${type}/{vmid}/clone`,
    permission: mayClone,
    parameters,
    handle: (call) => clone(call, guestOf(call, type)),
  };
}

/** VM.Clone on the source and VM.Allocate on the new id or the pool: an `or`, so its refusal names nothing. */
function mayClone(access: Access, given: Readonly<Record<string, string>>): void {
  access.need(`/vms/${given["vmid"]}`, "VM.Clone");
  const { pool } = given;
  if (access.has(`/vms/${given["newid"]}`, "VM.Allocate")) return;
  if (pool === undefined || !access.has(`/pool/${pool}`, "VM.Allocate")) throw forbidden();
}

function clone(call: Call, source: Guest): string {
  const { cluster, access } = call;
  const order = readOrder(call, source);
  refuse(call, order);
  const { node, vmid } = source;
  const type = `${taskPrefix(source)}clone`;
  const task = { node, type, id: String(vmid), user: access.name };
  if (source.type === "qemu") {
    return cluster.tasks.start({ ...task, work: (log) => cloneVm(cluster, order, log) });
  }
  const config = { lock: "create" };
  const guest = stoppedGuest({ vmid: order.newid, type: "lxc", node, config });
  cluster.world.guests.set(guest.vmid, guest);
  source.config["lock"] = "disk";
  return cluster.tasks.start({
    ...task,
    work: (log) => cloneContainer(cluster, order, guest, log),
  });
}

function readOrder({ values }: Call, source: Guest): CloneOrder {
  return {
    source,
    config: configToClone(source, values["snapname"]),
    newid: Number(values["newid"]),
    name: values["name"] ?? values["hostname"],
    description: values["description"],
    full: values["full"] === undefined ? !isTemplate(source) : values["full"] === "1",
    storage: values["storage"],
    target: values["target"] === source.node ? undefined : values["target"],
    pool: values["pool"],
    bwlimit: Number(values["bwlimit"] ?? 0),
  };
}

function configToClone(source: Guest, snapname: string | undefined): Config {
  if (snapname === undefined) return { ...source.config };
  const snapshot = source.snapshots.find(({ name }) => name === snapname);
  if (!snapshot) throw died(`snapshot '${snapname}' does not exist`);
  return { ...snapshot.config };
}

function refuse(call: Call, order: CloneOrder): void {
  const { cluster, access } = call;
  const { source, newid, storage, pool } = order;
  if (pool !== undefined && !cluster.world.pools.has(pool)) {
    throw forbidden(`pool '${pool}' does not exist`);
  }
  if (order.target !== undefined && !cluster.world.nodes.has(order.target)) {
    throw died(`no such cluster node '${order.target}'`);
  }
  const format = call.values["format"];
  if (!order.full && (storage !== undefined || format !== undefined)) {
    const name = storage === undefined ? "format" : "storage";
    throw died(`parameter '${name}' not allowed for linked clones`);
  }
  if (storage !== undefined) refuseStorage(call, order, storage);
  const locked = lockText(source);
  if (locked !== undefined) throw died(locked);
  const taken = takenText(cluster, newid);
  if (taken !== undefined) {
    throw died(
      source.type === "qemu" ? `unable to create VM ${newid}: config file already exists` : taken,
    );
  }
  const running = source.type === "lxc" && source.run.status === "running";
  if (running && order.full && call.values["snapname"] === undefined) {
    throw died("Full clone of a running container is only possible from a snapshot");
  }
  for (const disk of disksOf(source.type, order.config)) {
    if (disk.cdrom) continue;
    refuseDisk(call, order, disk);
    access.need(`/storage/${storage ?? disk.storage}`, "Datastore.AllocateSpace");
  }
  needBridges(access, order.config);
}

function refuseStorage({ cluster }: Call, order: CloneOrder, id: string): void {
  const storage = usableStorage(cluster, id, order.target ?? order.source.node);
  const content = order.source.type === "qemu" ? "images" : "rootdir";
  if (!storage.content.includes(content)) {
    throw died(`storage '${id}' does not support content-type '${content}'`);
  }
  if (order.target !== undefined && !storage.shared) {
    throw died(`can't clone to non-shared storage '${id}'`);
  }
}

function refuseDisk(
  { cluster }: Call,
  order: CloneOrder,
  disk: { readonly key: string; readonly volid: string; readonly storage: string },
): void {
  const { source } = order;
  const storage = cluster.world.storages.get(disk.storage);
  if (order.target !== undefined && !storage?.shared) {
    const word = source.type === "qemu" ? "VM" : "CT";
    throw died(`can't clone ${word} to node '${order.target}' (${word} uses local storage)`);
  }
  if (!findVolume(cluster, disk.volid, source.node)) {
    throw died(`volume '${disk.volid}' does not exist`);
  }
  if (!order.full && !/(?:^|[:/])base-/.test(disk.volid)) {
    throw died(`Linked clone feature is not supported for '${disk.volid}' (${disk.key})`);
  }
}
