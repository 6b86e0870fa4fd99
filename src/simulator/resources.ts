import type { Cluster } from "./cluster.ts";
import { haManaged } from "./guests.ts";
import type { Access } from "./permissions.ts";
import { StorageUsage } from "./usage.ts";
import { onNode } from "./volumes.ts";
import type { Guest, Node } from "./world.ts";
import { serviceId } from "./world.ts";

export type Row = Record<string, unknown>;

/**
 * GET /cluster/resources (PVE::API2::Cluster resources): existence, node, lock, tags, pool and HA live, everything else from
 * what pvestatd last broadcast; what one may not see is silently left out.
 */
export function clusterResources(
  cluster: Cluster,
  access: Access,
  type: string | undefined,
): Row[] {
  if (type === "sdn") return cluster.version === "8.4" ? networkRows(cluster, access) : [];
  const rows: Row[] = [];
  const all = type === undefined;
  if (all || type === "vm") {
    const guests = guestRows(cluster, access);
    if (all) rows.push(...poolRows(cluster, access));
    rows.push(...guests);
  }
  if (all || type === "node") {
    for (const node of cluster.world.nodes.values()) rows.push(nodeRow(cluster, access, node));
  }
  if (all || type === "storage") rows.push(...storageRows(cluster, access));
  if (all) rows.push(...networkRows(cluster, access));
  return rows;
}

function guestRows(cluster: Cluster, access: Access): Row[] {
  const stats = cluster.stats.view(cluster.now);
  const pools = new Map<number, string>();
  for (const pool of cluster.world.pools.values()) {
    if (!access.has(`/pool/${pool.id}`, "Pool.Audit")) continue;
    for (const vmid of pool.vmids) pools.set(vmid, pool.id);
  }
  const rows: Row[] = [];
  for (const guest of cluster.world.guests.values()) {
    if (!access.has(`/vms/${guest.vmid}`, "VM.Audit")) continue;
    rows.push(guestRow(cluster, guest, stats(guest.vmid), pools.get(guest.vmid)));
  }
  return rows;
}

function guestRow(
  cluster: Cluster,
  guest: Guest,
  stats: Readonly<Row> | undefined,
  pool: string | undefined,
): Row {
  const { type, vmid, node, config } = guest;
  const row: Row = { id: `${type}/${vmid}`, vmid, type, node, status: "unknown", ...stats };
  if (config["lock"] !== undefined && config["lock"] !== "destroyed") row["lock"] = config["lock"];
  if (cluster.version === "8.4") delete row["memhost"];
  if (config["tags"]) row["tags"] = config["tags"];
  if (pool !== undefined) row["pool"] = pool;
  if (haManaged(cluster, guest)) row["hastate"] = cluster.world.ha.get(serviceId(guest))?.request;
  return row;
}

/** GET /cluster/resources and GET /nodes; figures only with Sys.Audit. */
export function nodeRow(cluster: Cluster, access: Access, node: Node): Row {
  const { name } = node;
  const row: Row = { id: `node/${name}`, node: name, type: "node" };
  const usage = cluster.stats.node(name, cluster.now);
  row["status"] = node.online ? (usage ? "online" : "unknown") : "offline";
  if (!node.online || !usage) return row;
  row["level"] = "";
  row["cgroup-mode"] = 2;
  if (!access.has(`/nodes/${name}`, "Sys.Audit")) return row;
  return {
    ...row,
    maxcpu: node.cpus,
    maxmem: node.memoryBytes,
    maxdisk: node.rootBytes,
    cpu: usage.cpu,
    mem: usage.memBytes,
    disk: usage.rootBytes,
    uptime: usage.uptimeS,
  };
}

/** One row a node and enabled storage; a shared storage repeats. */
function storageRows(cluster: Cluster, access: Access): Row[] {
  const rows: Row[] = [];
  const usage = new StorageUsage(cluster.world);
  for (const storage of cluster.world.storages.values()) {
    if (storage.disabled || !access.has(`/storage/${storage.id}`, "Datastore.Audit")) continue;
    for (const node of cluster.world.nodes.values()) {
      if (!onNode(storage, node.name)) continue;
      const row: Row = {
        id: `storage/${node.name}/${storage.id}`,
        type: "storage",
        storage: storage.id,
        node: node.name,
        plugintype: storage.type,
        shared: storage.shared ? 1 : 0,
        content: storage.content.join(","),
        status: "unknown",
      };
      if (cluster.stats.node(node.name, cluster.now) && !storage.offline) {
        row["status"] = "available";
        row["maxdisk"] = storage.totalBytes;
        row["disk"] = usage.of(storage, node.name);
      }
      rows.push(row);
    }
  }
  return rows;
}

function poolRows(cluster: Cluster, access: Access): Row[] {
  return [...cluster.world.pools.keys()]
    .filter((id) => access.has(`/pool/${id}`, "Pool.Audit"))
    .map((id) => ({ id: `/pool/${id}`, pool: id, type: "pool" }));
}

/** The zone of the bridges that no SDN made; before PVE 9 rows of type `sdn`. */
function networkRows(cluster: Cluster, access: Access): Row[] {
  const network = "localnetwork";
  if (!access.has(`/sdn/zones/${network}`, "SDN.Audit")) return [];
  const old = cluster.version === "8.4";
  return [...cluster.world.nodes.values()].map(({ name: node, online }) => {
    const status = online ? "ok" : "unknown";
    return old
      ? { id: `sdn/${node}/${network}`, type: "sdn", sdn: network, node, status }
      : {
          id: `network/${node}/zone/${network}`,
          type: "network",
          network,
          "network-type": "zone",
          node,
          status,
        };
  });
}
