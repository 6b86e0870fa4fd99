import { takenText } from "../guests.ts";
import { badParameters } from "../refusal.ts";
import { clusterResources } from "../resources.ts";
import { type Call, needs, type Route, vmidParameter } from "../route.ts";
import type { Task } from "../tasks.ts";
import { splitUser } from "./tasks.ts";

/** PVE::API2::Cluster and its neighbours. Served by the answering host from memory. */
export function clusterRoutes(): Route[] {
  const audit = needs("/", "Sys.Audit");
  return [
    {
      method: "GET",
      path: "/cluster/resources",
      parameters: {
        type: { type: "string", optional: true, enum: ["vm", "storage", "node", "sdn"] },
      },
      handle: ({ cluster, access, values }) => clusterResources(cluster, access, values["type"]),
    },
    { method: "GET", path: "/cluster/tasks", handle: recentTasks },
    {
      method: "GET",
      path: "/cluster/log",
      parameters: { max: { type: "integer", optional: true, minimum: 1 } },
      handle: log,
    },
    {
      method: "GET",
      path: "/cluster/nextid",
      parameters: { vmid: { ...vmidParameter, optional: true } },
      handle: nextId,
    },
    { method: "GET", path: "/cluster/status", permission: audit, handle: status },
    { method: "GET", path: "/cluster/options", handle: options },
    { method: "GET", path: "/cluster/backup", permission: audit, handle: backupJobs },
    { method: "GET", path: "/cluster/replication", handle: () => [] },
  ];
}

/** GET /cluster/options: datacenter.cfg, less of it without Sys.Audit on /, and the tags of guests that one may see. */
function options({ cluster: { world }, access }: Call): unknown {
  const seen = [...world.guests.values()].filter(({ vmid }) =>
    access.has(`/vms/${vmid}`, "VM.Audit"),
  );
  const tags = seen.flatMap(({ config }) => (config["tags"] ?? "").split(";"));
  const allowed = [...new Set(tags)].filter((tag) => tag !== "").sort();
  const all = access.has("/", "Sys.Audit");
  const shown = Object.entries(world.options).filter(([key]) => all || forAll.includes(key));
  return { ...Object.fromEntries(shown), "allowed-tags": allowed };
}

/** What everybody gets to see of datacenter.cfg. */
const forAll: readonly string[] = ["console", "tag-style"];

/** GET /cluster/tasks: at most 25 a node; without Sys.Audit on / only the user's own, and a token is no user. */
function recentTasks({ cluster, access }: Call): unknown[] {
  const all = access.has("/", "Sys.Audit");
  const entries: unknown[] = [];
  for (const node of cluster.world.nodes.keys()) {
    const tasks = cluster.tasks.list(node).reverse();
    const running = tasks.filter((task) => task.endtime === undefined);
    const done = tasks.filter((task) => task.endtime !== undefined);
    done.sort((a, b) => (b.endtime ?? 0) - (a.endtime ?? 0));
    const recent = [...running, ...done.slice(0, Math.max(0, 25 - running.length))];
    for (const task of recent)
      if (all || splitUser(task.user).user === access.name) entries.push(recentEntry(task));
  }
  return entries;
}

function recentEntry(task: Task): Record<string, unknown> {
  const { upid, node, starttime, type, id, pid, endtime, exitstatus } = task;
  const entry = { upid, node, starttime, type, id, ...splitUser(task.user) };
  return endtime === undefined
    ? { ...entry, pid }
    : { ...entry, endtime, status: exitstatus, saved: "1" };
}

/** GET /cluster/log: newest first; others' entries need Sys.Syslog on /. */
function log({ cluster, access, values }: Call): unknown[] {
  const reader = access.has("/", "Sys.Syslog") ? undefined : access.name;
  return cluster.log.read(Number(values["max"] ?? 50), reader);
}

/** GET /cluster/nextid: a string; reserves nothing. */
function nextId({ cluster, values }: Call): string {
  const asked = values["vmid"];
  if (asked !== undefined) {
    if (takenText(cluster, Number(asked)) !== undefined) {
      throw badParameters({ vmid: `VM ${asked} already exists` });
    }
    return asked;
  }
  let free = 100;
  while (cluster.world.guests.has(free)) free++;
  return String(free);
}

function status({ cluster }: Call): unknown[] {
  const nodes = [...cluster.world.nodes.values()];
  const online = nodes.filter((node) => node.online).length;
  const entries: unknown[] = nodes.map((node) => ({
    type: "node",
    id: `node/${node.name}`,
    name: node.name,
    nodeid: nodes.length > 1 ? node.id : 0,
    ip: node.ip,
    local: node.name === cluster.host ? 1 : 0,
    online: node.online ? 1 : 0,
    level: "",
  }));
  if (nodes.length === 1) return entries;
  const { clusterName: name } = cluster.world;
  const quorate = online * 2 > nodes.length ? 1 : 0;
  const version = nodes.length;
  return [
    { type: "cluster", id: "cluster", name, nodes: nodes.length, version, quorate },
    ...entries,
  ];
}

function backupJobs({ cluster }: Call): unknown[] {
  return cluster.world.backupJobs.map((job) => ({
    id: job.id,
    type: "vzdump",
    enabled: job.enabled ? 1 : 0,
    schedule: job.schedule,
    storage: job.storage,
    mode: "snapshot",
    compress: "zstd",
    ...(job.all ? { all: 1 } : {}),
    ...(job.pool === undefined ? {} : { pool: job.pool }),
    ...(job.vmids.length > 0 ? { vmid: job.vmids.join(",") } : {}),
    ...(job.comment === undefined ? {} : { comment: job.comment }),
    "prune-backups": { "keep-last": "3" },
    "next-run": Math.ceil(cluster.now / 86_400_000) * 86_400 + 7200,
  }));
}
