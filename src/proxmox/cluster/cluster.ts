import { path } from "../../http/path.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { flag, given, number, record, records, text } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import {
  type ListedTask,
  nodeTasksQuestion,
  recentTasksQuestion,
  type TaskFilter,
} from "../tasks/listed-task.ts";
import type { Inventory } from "./inventory.ts";
import { type Unseen, unseenParts } from "./unseen.ts";

export interface ClusterStatus {
  /** Absent for a single host that is in no cluster. */
  readonly name?: string;
  readonly quorate: boolean;
  /** The host that answers us. */
  readonly local?: string;
}

export interface NodeStatus {
  readonly version?: string;
  readonly kernel?: string;
  readonly cpuModel?: string;
  readonly cores?: number;
  readonly sockets?: number;
  /** Fraction of all its cores, 0..1. */
  readonly cpu?: number;
  readonly load: readonly string[];
  readonly memoryUsedBytes?: number;
  readonly memoryBytes?: number;
  readonly rootUsedBytes?: number;
  readonly rootBytes?: number;
  readonly swapUsedBytes?: number;
  readonly uptimeS?: number;
}

export interface HaEntry {
  readonly id: string;
  readonly state: string;
  readonly node?: string;
}

/** What is true of the whole cluster and of its nodes. */
export class Cluster {
  readonly #verbs: Verbs;

  constructor(verbs: Verbs) {
    this.#verbs = verbs;
  }

  /** Quorum. Needs Sys.Audit on /. PVE: GET /cluster/status */
  status(call: Call): Promise<ClusterStatus> {
    return this.#verbs.observe(call, clusterStatusQuestion);
  }

  /** HA resources and services with their state. Needs Sys.Audit on /. PVE: GET /cluster/ha/status/current */
  ha(call: Call): Promise<readonly HaEntry[]> {
    return this.#verbs.observe(call, haQuestion);
  }

  /** Whether the host answers at all; needs no rights. PVE: GET /access/domains */
  async reach(call: Call): Promise<void> {
    await this.#verbs.live(call, {
      path: path`/access/domains`,
      freshness: fresh("never"),
      parse: () => true,
    });
  }

  /** Version of the answering host. PVE: GET /version */
  version(call: Call): Promise<string> {
    return this.#verbs.observe(call, versionQuestion);
  }

  /** Version of one node, kept for an hour. PVE: GET /nodes/{node}/version */
  nodeVersion(node: string, call: Call): Promise<string> {
    return this.#verbs.observe(call, {
      ...versionQuestion,
      path: path`/nodes/${node}/version`,
      freshness: fresh("version", tags.node(node)),
    });
  }

  /** Load, memory, versions of one node. `unreachable` when it is down. PVE: GET /nodes/{node}/status */
  nodeStatus(node: string, call: Call): Promise<NodeStatus> {
    return this.#verbs.observe(call, {
      path: path`/nodes/${node}/status`,
      freshness: fresh("nodeStatus", tags.node(node)),
      parse: readNodeStatus,
    });
  }

  /** Running and recent tasks of all nodes, at most 25 a node. Empty without Sys.Audit on /. PVE: GET /cluster/tasks */
  recentTasks(call: Call): Promise<readonly ListedTask[]> {
    return this.#verbs.observe(call, recentTasksQuestion);
  }

  /** Running and archived tasks of one node, newest first. PVE: GET /nodes/{node}/tasks */
  async nodeTasks(node: string, filter: TaskFilter, call: Call): Promise<readonly ListedTask[]> {
    return (await this.#verbs.observe(call, nodeTasksQuestion(node, filter))).tasks;
  }

  /** What an overview lacks for want of rights; `status` is what it has got of the cluster's. Costs a request only where no guest is seen. */
  async unseen(
    inventory: Inventory,
    status: ClusterStatus | undefined,
    call: Call,
  ): Promise<readonly Unseen[]> {
    const guests = inventory.guests.length > 0 || (await this.#wouldSeeGuests(call));
    const { principal } = this.#verbs.api;
    return unseenParts(inventory, { principal, audits: status !== undefined, guests });
  }

  async #wouldSeeGuests(call: Call): Promise<boolean> {
    const held = [...(await this.permissions(call))];
    return held.some(([at, privileges]) => /^\/vms\b/.test(at) && privileges.includes("VM.Audit"));
  }

  /** What these credentials may do: ACL path → privileges. PVE: GET /access/permissions */
  permissions(call: Call): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.#verbs.observe(call, permissionsQuestion);
  }
}

const clusterStatusQuestion: Question<ClusterStatus> = {
  path: path`/cluster/status`,
  freshness: fresh("clusterStatus", tags.cluster),
  parse: (data) => {
    const rows = records(data);
    const cluster = rows.find((row) => row["type"] === "cluster");
    const local = rows.find((row) => row["type"] === "node" && flag(row["local"]));
    return {
      quorate: cluster === undefined || (flag(cluster["quorate"]) ?? false),
      ...given({ name: text(cluster?.["name"]), local: text(local?.["name"]) }),
    };
  },
};

const haQuestion: Question<readonly HaEntry[]> = {
  path: path`/cluster/ha/status/current`,
  freshness: fresh("clusterStatus", tags.cluster),
  parse: (data) =>
    records(data).map((row) => ({
      id: text(row["id"]) ?? "",
      state: text(row["state"]) ?? text(row["status"]) ?? "unknown",
      ...given({ node: text(row["node"]) }),
    })),
};

const versionQuestion: Question<string> = {
  path: path`/version`,
  freshness: fresh("version"),
  parse: (data) => text(record(data)["version"]) ?? "unknown",
};

const permissionsQuestion: Question<ReadonlyMap<string, readonly string[]>> = {
  path: path`/access/permissions`,
  freshness: fresh("permissions", tags.access),
  parse: (data) =>
    new Map(
      Object.entries(record(data)).map(([where, held]) => [
        where,
        Object.keys(record(held)).sort(),
      ]),
    ),
};

function readNodeStatus(data: unknown): NodeStatus {
  const wire = record(data);
  const cpu = record(wire["cpuinfo"]);
  const memory = record(wire["memory"]);
  const root = record(wire["rootfs"]);
  return {
    load: Array.isArray(wire["loadavg"]) ? wire["loadavg"].map(String) : [],
    ...given({
      version: text(wire["pveversion"])?.split("/")[1],
      kernel: text(record(wire["current-kernel"])["release"]) ?? text(wire["kversion"]),
      cpuModel: text(cpu["model"]),
      cores: number(cpu["cpus"]),
      sockets: number(cpu["sockets"]),
      cpu: number(wire["cpu"]),
      memoryUsedBytes: number(memory["used"]),
      memoryBytes: number(memory["total"]),
      rootUsedBytes: number(root["used"]),
      rootBytes: number(root["total"]),
      swapUsedBytes: number(record(wire["swap"])["used"]),
      uptimeS: number(wire["uptime"]),
    }),
  };
}
