import { listOf, poolIdFormat, splitList, storageIdFormat, vmidFormat } from "../formats.ts";
import { died } from "../refusal.ts";
import { clusterResources } from "../resources.ts";
import { type Call, needs, type Route } from "../route.ts";
import type { Pool } from "../world.ts";
import { addPool } from "../world-builder.ts";
import { mayGrant } from "./acl.ts";

const text = { type: "string", optional: true } as const;
const flag = { type: "boolean", optional: true } as const;
const poolid = { type: "string", format: poolIdFormat } as const;
const type = { ...text, enum: ["qemu", "lxc", "storage"] } as const;

/** PVE::API2::Pool; the forms with the pool in the path are the old ones. */
export function poolRoutes(): Route[] {
  const permission = needs("/pool/{poolid}", "Pool.Allocate");
  const old = "/pools/{poolid}";
  const changes = {
    poolid,
    comment: text,
    vms: { ...text, list: true, format: listOf(vmidFormat) },
    storage: { ...text, list: true, format: listOf(storageIdFormat) },
    "allow-move": flag,
    delete: flag,
  };
  return [
    {
      method: "GET",
      path: "/pools",
      parameters: { poolid: { ...poolid, optional: true }, type },
      handle: list,
    },
    {
      method: "POST",
      path: "/pools",
      permission,
      parameters: { poolid, comment: text },
      handle: create,
    },
    { method: "PUT", path: "/pools", permission, parameters: changes, handle: update },
    { method: "DELETE", path: "/pools", permission, parameters: { poolid }, handle: remove },
    {
      method: "GET",
      path: old,
      permission: needs("/pool/{poolid}", "Pool.Audit"),
      parameters: { poolid, type },
      handle: (call) => withMembers(call, poolOf(call, "")),
    },
    { method: "PUT", path: old, permission, parameters: changes, handle: update },
    { method: "DELETE", path: old, permission, parameters: { poolid }, handle: remove },
  ];
}

/** GET /pools: those with Pool.Audit; with `poolid` one element with its members. */
function list(call: Call): unknown[] {
  const { cluster, access, values } = call;
  const asked = values["poolid"];
  if (asked !== undefined) {
    access.need(`/pool/${asked}`, "Pool.Audit");
    return [withMembers(call, poolOf(call, ""))];
  }
  return [...cluster.world.pools.values()]
    .filter((pool) => access.has(`/pool/${pool.id}`, "Pool.Audit"))
    .map(entry);
}

function entry(pool: Pool): Record<string, unknown> {
  return { poolid: pool.id, ...(pool.comment ? { comment: pool.comment } : {}) };
}

function withMembers({ cluster, access, values }: Call, pool: Pool): Record<string, unknown> {
  const members = clusterResources(cluster, access, undefined).filter(
    (row) => pool.vmids.has(Number(row["vmid"])) || pool.storages.has(String(row["storage"])),
  );
  return {
    ...entry(pool),
    members: members
      .filter((row) => values["type"] === undefined || row["type"] === values["type"])
      .map(({ pool: _, tags: __, ...row }) => row),
  };
}

/** `deed`: how the text begins. */
function poolOf({ cluster, values }: Call, deed: string): Pool {
  const { poolid: id = "" } = values;
  const pool = cluster.world.pools.get(id);
  if (!pool) throw died(`${deed}pool '${id}' does not exist`);
  return pool;
}

function create({ cluster, values }: Call): null {
  const { poolid: id = "", comment } = values;
  const { pools } = cluster.world;
  if (pools.has(id)) throw died(`create pool failed: pool '${id}' already exists`);
  const parent = id.includes("/") ? id.slice(0, id.lastIndexOf("/")) : undefined;
  if (parent !== undefined && !pools.has(parent)) {
    throw died(`create pool failed: parent '${parent}' of pool '${id}' does not exist`);
  }
  addPool(cluster.world, id, comment);
  return null;
}

/** A guest is in one pool at most; whether it exists is not asked. */
function update(call: Call): null {
  const { access, values } = call;
  const failed = "update pools failed: ";
  const pool = poolOf(call, failed);
  const vmids = splitList(values["vms"] ?? "").map(Number);
  const storages = splitList(values["storage"] ?? "");
  const take = values["delete"] === "1";
  for (const vmid of vmids) {
    mayGrant(access, `/vms/${vmid}`);
    const wrong = take ? missing(pool.vmids, vmid, `VM ${vmid}`) : held(call, pool, vmid);
    if (wrong !== undefined) throw died(failed + wrong);
  }
  for (const storage of storages) {
    mayGrant(access, `/storage/${storage}`);
    const name = `storage '${storage}'`;
    if (!take && pool.storages.has(storage))
      throw died(`${failed}${name} is already a pool member`);
    const wrong = take ? missing(pool.storages, storage, name) : undefined;
    if (wrong !== undefined) throw died(failed + wrong);
  }
  if (values["comment"] !== undefined) pool.comment = values["comment"];
  for (const vmid of vmids) move(call, pool, vmid, take);
  for (const storage of storages) take ? pool.storages.delete(storage) : pool.storages.add(storage);
  return null;
}

function missing<T>(members: ReadonlySet<T>, member: T, name: string): string | undefined {
  return members.has(member) ? undefined : `${name} is not a pool member`;
}

/** Why a guest may not come into a pool. */
function held({ cluster, values }: Call, pool: Pool, vmid: number): string | undefined {
  if (pool.vmids.has(vmid)) return `VM ${vmid} is already a pool member`;
  const other = [...cluster.world.pools.values()].find(({ vmids }) => vmids.has(vmid));
  if (!other || values["allow-move"] === "1") return undefined;
  return `VM ${vmid} belongs already to pool '${other.id}' and 'allow-move' is not set`;
}

function move({ cluster }: Call, pool: Pool, vmid: number, take: boolean): void {
  for (const other of cluster.world.pools.values()) other.vmids.delete(vmid);
  if (!take) pool.vmids.add(vmid);
}

/** Only an empty pool goes; members that do not exist any more do not count. */
function remove(call: Call): null {
  const { world } = call.cluster;
  const failed = "delete pool failed: ";
  const pool = poolOf(call, failed);
  const refuse = (what: string) =>
    died(`${failed}pool '${pool.id}' is not empty (contains ${what})`);
  for (const id of world.pools.keys())
    if (id.startsWith(`${pool.id}/`)) throw refuse(`pool '${id}'`);
  for (const vmid of pool.vmids) if (world.guests.has(vmid)) throw refuse(`VM ${vmid}`);
  for (const id of pool.storages) if (world.storages.has(id)) throw refuse(`storage '${id}'`);
  world.pools.delete(pool.id);
  world.acl = world.acl.filter(({ path }) => path !== `/pool/${pool.id}`);
  return null;
}
