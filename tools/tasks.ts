import * as z from "zod";
import { ifAllowed } from "../src/each.ts";
import { Problem } from "../src/problem.ts";
import type { ListedTask } from "../src/proxmox/cluster.ts";
import type { TaskReport } from "../src/proxmox/task.ts";
import { count, duration, oneLine, table } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { missingNode } from "./node.ts";
import { taskFields } from "./outcome.ts";
import * as params from "./params.ts";

const input = z.object({
  upid: z.string().min(1).max(300).optional().describe("one task, with its log"),
  guest: params.guest.optional(),
  node: params.node.optional(),
  state: z.enum(["running", "ok", "warnings", "failed"]).optional(),
  since: z.string().max(40).optional().describe("ISO time, or 30m, 2h, 1d"),
  wait_s: z.number().min(0).max(3_600).default(0).describe("with upid: wait for its end"),
  log_lines: z.int().min(0).max(500).optional().describe("last lines; default 20 with upid"),
});

const output = z.object({
  tasks: z.array(z.unknown()).optional(),
  left: z.int().optional(),
  upid: z.string().optional(),
  node: z.string().optional(),
  type: z.string().optional(),
  task: z.record(z.string(), z.unknown()).optional(),
  log: z.array(z.string()).optional(),
});

type Args = z.output<typeof input>;
type Result = z.output<typeof output>;

/** More would not fit into what an agent can afford. */
const maxListed = 20;

export const getTasks = defineTool({
  name: "get_tasks",
  description:
    "What Proxmox is doing or has done: one task by upid with its log (waits with wait_s), or the newest tasks of the cluster, a guest or a node.",
  effect: "read",
  input,
  output,
  run: (args, context) =>
    args.upid === undefined ? list(args, context) : one(args.upid, args, context),
  show: (result) =>
    result.tasks ? showList(result.tasks as readonly Row[], result.left) : showOne(result),
});

async function one(upid: string, args: Args, { proxmox, call }: ToolContext): Promise<Result> {
  const report: TaskReport = await proxmox.tasks.wait(upid, {
    timeoutMs: args.wait_s * 1000,
    signal: call.signal,
    onProgress: call.progress,
    call,
  });
  const lines = args.log_lines ?? 20;
  const log = lines > 0 ? [...(await proxmox.tasks.log(upid, lines, call))] : undefined;
  const { node, type } = report;
  return { upid, node, type, task: taskFields(report), ...(log && { log }) };
}

async function list(args: Args, { proxmox, call }: ToolContext): Promise<Result> {
  const since = sinceMs(args.since, proxmox.clock.now());
  const guest =
    args.guest === undefined ? undefined : await proxmox.lookup.guest(args.guest, "any", call);
  const vmid = guest?.row.vmid;
  const everywhere = vmid === undefined && args.node === undefined && since === undefined;
  const recent = everywhere ? await proxmox.cluster.recentTasks(call) : [];
  // Without Sys.Audit the cluster's list is empty, also of one's own tasks; each node's own list has them.
  const tasks =
    recent.length > 0 ? recent : await fromNodes({ ...args, vmid, since }, { proxmox, call });
  const wanted = tasks.filter((task) => args.state === undefined || stateOf(task) === args.state);
  const left = Math.max(0, wanted.length - maxListed);
  return { tasks: wanted.slice(0, maxListed).map(fields), ...(left > 0 && { left }) };
}

async function fromNodes(
  filter: {
    readonly node?: string | undefined;
    vmid: number | undefined;
    since: number | undefined;
  },
  { proxmox, call }: Pick<ToolContext, "proxmox" | "call">,
): Promise<readonly ListedTask[]> {
  const inventory = await proxmox.lookup.inventory(call);
  if (filter.node !== undefined && !inventory.nodes.has(filter.node)) {
    missingNode(filter.node, inventory);
  }
  const online = [...inventory.nodes.values()].filter((row) => row.status !== "offline");
  const nodes = filter.node === undefined ? online.map((row) => row.node) : [filter.node];
  const { vmid, since } = filter;
  const lists = await Promise.all(
    nodes.map((node) =>
      ifAllowed(proxmox.cluster.nodeTasks(node, { vmid, since, limit: 50 }, call)),
    ),
  );
  return lists.flatMap((tasks) => tasks ?? []).toSorted((a, b) => b.startedAt - a.startedAt);
}

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 };

function sinceMs(since: string | undefined, now: number): number | undefined {
  if (since === undefined) return undefined;
  const [, amount, unit] = /^([0-9]{1,6})([mhd])$/.exec(since) ?? [];
  if (amount !== undefined) return now - Number(amount) * unitMs[unit as keyof typeof unitMs];
  const at = Date.parse(since);
  if (/^[0-9]{4}-/.test(since) && !Number.isNaN(at)) return at;
  throw new Problem("invalid_input", "since is neither an ISO time nor a span.", {
    next: "Write it like 2026-01-31T12:00:00Z, or 30m, 2h, 1d.",
    facts: { argument: "since" },
  });
}

function stateOf({ exitstatus, endedAt }: ListedTask): string {
  if (exitstatus === undefined) return endedAt === undefined ? "running" : "failed";
  if (exitstatus === "OK") return "ok";
  return exitstatus.startsWith("WARNINGS: ") ? "warnings" : "failed";
}

function fields(task: ListedTask) {
  const { upid, node, type, id, user, startedAt, endedAt, exitstatus } = task;
  return {
    upid,
    node,
    type,
    id,
    user,
    state: stateOf(task),
    started: new Date(startedAt).toISOString(),
    seconds: endedAt === undefined ? undefined : Math.round((endedAt - startedAt) / 1000),
    exitstatus,
  };
}

type Row = ReturnType<typeof fields>;

function showList(rows: readonly Row[], left = 0): string {
  if (rows.length === 0) return "No such task. A token without Sys.Audit sees only its own.";
  const shown = table(rows, [
    { head: "state", cell: (row) => row.state },
    { head: "type", cell: (row) => row.type },
    { head: "id", cell: (row) => row.id },
    { head: "node", cell: (row) => row.node },
    { head: "started", cell: (row) => row.started.slice(0, 19) },
    {
      head: "took",
      cell: (row) => (row.seconds === undefined ? undefined : duration(row.seconds)),
    },
    { head: "user", cell: (row) => row.user },
    {
      head: "error",
      cell: (row) => (row.state === "failed" ? oneLine(row.exitstatus ?? "", 80) : undefined),
    },
  ]);
  const rest = `… and ${count(left, "older task")}: narrow the question by guest, node, state or since.`;
  return left > 0 ? `${shown}\n${rest}` : shown;
}

function showOne({ type, node, upid, task = {}, log = [] }: Result): string {
  const { state } = task;
  const end = state === "failed" ? `failed: ${task["exitstatus"]}` : String(state);
  const next =
    state === "running" ? ` Wait for it with get_tasks {upid: "${upid}", wait_s: 60}.` : "";
  return [
    `Task ${type} on ${node}: ${end}.${next}`,
    ...log.map((line) => `  ${oneLine(line, 300)}`),
  ].join("\n");
}
