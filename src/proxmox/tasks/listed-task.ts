import { path } from "../../http/path.ts";
import { discreet } from "../../text.ts";
import { fresh, tags } from "../api/freshness.ts";
import { given, number, records, text, type Wire } from "../api/values.ts";
import type { Question } from "../api/verbs.ts";

/** A task as lists show it. */
export interface ListedTask {
  readonly upid: string;
  readonly node: string;
  readonly type: string;
  readonly id?: string;
  readonly user: string;
  /** Clock times in ms. */
  readonly startedAt: number;
  readonly endedAt?: number;
  /** Absent while it runs. */
  readonly exitstatus?: string;
}

export interface TaskFilter {
  readonly vmid?: number | undefined;
  /** Clock time in ms: only tasks that began since then. */
  readonly since?: number | undefined;
  /** In PVE's words: `ok`, `warning`, `error`, `unknown`; with commas between. */
  readonly statusfilter?: string | undefined;
  /** Default `all`. */
  readonly source?: "active" | "all" | undefined;
  readonly limit: number;
}

/** The newest of a node's tasks, and how many there are. */
export interface TaskPage {
  readonly tasks: readonly ListedTask[];
  readonly total: number;
}

/** Running and recent tasks of all nodes, at most 25 a node. Empty without Sys.Audit on /. PVE: GET /cluster/tasks */
export const recentTasksQuestion: Question<readonly ListedTask[]> = {
  path: path`/cluster/tasks`,
  freshness: fresh("tasks", tags.tasks),
  parse: readTasks,
};

/** Running and archived tasks of one node, newest first, with their number. PVE: GET /nodes/{node}/tasks */
export function nodeTasksQuestion(
  node: string,
  { vmid, since, statusfilter, source = "all", limit }: TaskFilter,
): Question<TaskPage> {
  const from = since === undefined ? undefined : Math.floor(since / 1000);
  return {
    path: path`/nodes/${node}/tasks`,
    params: { source, vmid, since: from, statusfilter, limit },
    freshness: fresh("tasks", tags.tasks),
    parse: (data, { total = 0 }) => {
      const tasks = readTasks(data);
      return { tasks, total: Math.max(total, tasks.length) };
    },
  };
}

function readTasks(data: unknown): readonly ListedTask[] {
  const tasks = records(data).map(readTask);
  return tasks.sort((a, b) => b.startedAt - a.startedAt || (a.upid < b.upid ? 1 : -1));
}

function readTask(row: Wire): ListedTask {
  const ended = number(row["endtime"]);
  const status = text(row["status"]);
  const token = text(row["tokenid"]);
  const user = text(row["user"]) ?? "";
  return {
    upid: text(row["upid"]) ?? "",
    node: text(row["node"]) ?? "",
    type: text(row["type"]) ?? "",
    user: token !== undefined && !user.includes("!") ? `${user}!${token}` : user,
    startedAt: (number(row["starttime"]) ?? 0) * 1000,
    ...given({
      id: text(row["id"]),
      endedAt: ended === undefined ? undefined : ended * 1000,
      exitstatus:
        ended === undefined || status === undefined || status === "RUNNING"
          ? undefined
          : discreet(status),
    }),
  };
}
