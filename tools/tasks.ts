import * as z from "zod";
import { Problem } from "../src/problem.ts";
import type { TaskReport } from "../src/proxmox/tasks/task.ts";
import type { StatedTask } from "../src/proxmox/tasks/task-list.ts";
import { count, duration, oneLine } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { type Degraded, degradedBy, missingWords } from "./degraded.ts";
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
  ...params.reading,
  log_lines: z.int().min(0).max(500).optional().describe("last lines; default 20 with upid"),
});

const output = z.object({
  tasks: z.array(z.unknown()).optional(),
  left: z.int().optional(),
  degraded: z.array(z.unknown()).optional(),
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
  show: (result) => (result.tasks ? showList(result) : showOne(result)),
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
  const { node, state } = args;
  const since = sinceMs(args.since, proxmox.clock.now());
  const guest =
    args.guest === undefined ? undefined : await proxmox.lookup.guest(args.guest, "any", call);
  const inventory = await proxmox.lookup.inventory(call);
  if (node !== undefined && !inventory.nodes.has(node)) missingNode(node, inventory);
  const query = { vmid: guest?.row.vmid, node, state, since, limit: maxListed };
  const { tasks, left, unasked } = await proxmox.services.taskList.of(query, inventory, call);
  return {
    tasks: tasks.map(fields),
    ...(left > 0 && { left }),
    ...degradedBy(
      unasked.map((one) => proxmox.lookup.silence.of(one.node, one.problem, inventory)),
    ),
  };
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

function fields(task: StatedTask) {
  const { upid, node, type, id, user, state, startedAt, endedAt, exitstatus } = task;
  return {
    upid,
    node,
    type,
    id,
    user,
    state,
    started: new Date(startedAt).toISOString(),
    seconds: endedAt === undefined ? undefined : Math.round((endedAt - startedAt) / 1000),
    exitstatus,
  };
}

type Row = ReturnType<typeof fields>;

function none(partly: boolean): string {
  if (partly) return "No such task on the nodes that answered.";
  return "No such task. A token without Sys.Audit sees only its own.";
}

/** The UPID says where, what, of which guest and by whom; it is never shortened, for it is what the next call needs. */
function showList({ tasks = [], left = 0, degraded = [] }: Result): string {
  const lines = (tasks as readonly Row[]).map((row) => {
    const took = row.seconds === undefined ? "" : ` ${duration(row.seconds)}`;
    const error = row.state === "failed" ? ` ${oneLine(row.exitstatus ?? "", 80)}` : "";
    return `${row.state} ${row.started.slice(0, 19)}${took} ${row.upid}${error}`;
  });
  return [
    ...(lines.length === 0 ? [none(degraded.length > 0)] : lines),
    ...(left > 0
      ? [`… and ${count(left, "older task")}: narrow the question by guest, node, state or since.`]
      : []),
    ...degraded.map((one) => missingWords(one as Degraded, "its tasks are not listed")),
  ].join("\n");
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
