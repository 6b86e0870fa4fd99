import { each } from "../../each.ts";
import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { Verbs } from "../api/verbs.ts";
import {
  type ListedTask,
  nodeTasksQuestion,
  recentTasksQuestion,
  type TaskPage,
} from "./listed-task.ts";
import { stateOf } from "./task.ts";

export type ListedState = "running" | "ok" | "warnings" | "failed";

export interface TaskQuery {
  readonly vmid?: number | undefined;
  readonly node?: string | undefined;
  readonly state?: ListedState | undefined;
  /** Clock time in ms: only tasks that began since then. */
  readonly since?: number | undefined;
  readonly limit: number;
}

export interface StatedTask extends ListedTask {
  readonly state: ListedState;
}

export interface TaskListing {
  /** Newest first. */
  readonly tasks: readonly StatedTask[];
  /** How many more there are. */
  readonly left: number;
  /** Nodes whose tasks are not among them. */
  readonly unasked: readonly { readonly node: string; readonly problem: Problem }[];
}

/** What has to be known of the cluster: which nodes may have tasks. */
interface NodesOf {
  readonly nodes: ReadonlyMap<string, { readonly node: string; readonly status: string }>;
}

/** A client keeps no more requests than this under way for one list. */
const atOnce = 8;

/** PVE's words for our states: `unknown` are those that run and those that ended nobody knows how. PVE: TK (statusfilter) */
const filters: Readonly<Record<ListedState, string>> = {
  running: "unknown",
  ok: "ok",
  warnings: "warning",
  failed: "error,unknown",
};

/** What Proxmox does and has done, out of the tasks that run and the archives of all nodes. */
export class TaskList {
  readonly #verbs: Verbs;

  constructor(verbs: Verbs) {
    this.#verbs = verbs;
  }

  /**
   * One request where what runs and is newest is enough, else one for each node: a guest's tasks lie where it lived at the time.
   * A node that does not answer keeps the others' tasks from nobody; throws its problem where none does.
   */
  async of(query: TaskQuery, cluster: NodesOf, call: Call): Promise<TaskListing> {
    const { vmid, node, state, since, limit } = query;
    const away = [...cluster.nodes.values()]
      .filter((row) => row.status === "offline" && node === undefined)
      .map((row) => ({ node: row.node, problem: offline(row.node) }));
    const newest = vmid === undefined && node === undefined && since === undefined;
    if (newest && (state === undefined || state === "running")) {
      // Without Sys.Audit the cluster's list is empty, also of one's own tasks; each node's own list has them.
      const recent = await this.#verbs.observe(call, recentTasksQuestion);
      const found = listing([{ tasks: recent, total: recent.length }], query);
      if (recent.length > 0) return { ...found, unasked: away };
    }
    const online = [...cluster.nodes.values()].filter((row) => row.status !== "offline");
    const nodes = node === undefined ? online.map((row) => row.node) : [node];
    const source = state === "running" ? "active" : "all";
    const filter = { vmid, since, source, statusfilter: state && filters[state], limit } as const;
    const asked = await each(nodes, atOnce, (one) =>
      this.#verbs.observe(call, nodeTasksQuestion(one, filter)),
    );
    const parts = asked.flatMap((one) => (one.ok ? [one.value] : []));
    const unasked = asked.flatMap((one, index) =>
      one.ok ? [] : [{ node: nodes[index] ?? "", problem: one.problem }],
    );
    const [first] = unasked;
    if (first && (parts.length === 0 || isProblem(first.problem, "cancelled", "unauthorized"))) {
      throw first.problem;
    }
    return { ...listing(parts, query), unasked: [...unasked, ...away] };
  }
}

function offline(node: string): Problem {
  return new Problem("unreachable", `Node ${node} is offline: its tasks can't be read.`, {
    facts: { node },
  });
}

/** Filters are applied once more: the cluster's list knows none, and PVE's words do not say exactly what ours do. */
function listing(parts: readonly TaskPage[], { state, limit }: TaskQuery): TaskListing {
  const all = parts.flatMap(({ tasks }) => tasks.map((one) => ({ ...one, state: stateNow(one) })));
  const wanted = all.filter((task) => state === undefined || task.state === state);
  const beyond = parts.reduce((sum, { total, tasks }) => sum + total - tasks.length, 0);
  const tasks = wanted.toSorted(newestFirst).slice(0, limit);
  return { tasks, left: wanted.length - tasks.length + beyond, unasked: [] };
}

function newestFirst(a: ListedTask, b: ListedTask): number {
  return b.startedAt - a.startedAt || (a.upid < b.upid ? 1 : -1);
}

/** A task that ended without a word has failed. */
function stateNow({ exitstatus, endedAt }: ListedTask): ListedState {
  if (exitstatus === undefined) return endedAt === undefined ? "running" : "failed";
  return stateOf(exitstatus);
}
