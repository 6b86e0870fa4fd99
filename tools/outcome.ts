import * as z from "zod";
import { outcome } from "../src/each.ts";
import type { Problem } from "../src/problem.ts";
import type { Call } from "../src/proxmox/api/call.ts";
import type { Changed } from "../src/proxmox/guests/changes.ts";
import type { Identified } from "../src/proxmox/guests/identity.ts";
import type { Plan } from "../src/proxmox/tasks/plan.ts";
import type { TaskReport } from "../src/proxmox/tasks/task.ts";
import { followedBy, oneLine } from "../src/text.ts";
import type { ToolContext } from "../src/tool.ts";

/** Who was changed, in every result of a changing tool. */
interface Subject {
  readonly vmid: number;
  readonly name?: string | undefined;
  readonly node: string;
  readonly type: string;
}

/** The fields of one guest's change that scripts rely on. */
export const changeFields = {
  vmid: z.int().optional(),
  name: z.string().optional(),
  node: z.string().optional(),
  type: z.string().optional(),
  status: z.string().optional(),
  changed: z.boolean().optional(),
  upid: z.string().optional(),
  task: z.record(z.string(), z.unknown()).optional(),
  plan: z.record(z.string(), z.unknown()).optional(),
};

export const changeOutput = z.object(changeFields);
export const changesOutput = z.object({
  ...changeFields,
  results: z.array(z.unknown()).optional(),
});

export type ChangeResult = z.input<typeof changeOutput>;

/** Waits for the task of a change and tells what came of it; `after` is the state that a success leaves behind. */
export async function settled<T>(
  changed: Changed<T>,
  subject: Subject,
  states: { readonly before?: string | undefined; readonly after: string },
  context: ToolContext,
): Promise<ChangeResult> {
  const { before, after } = states;
  const who = identity(subject);
  // Without a task it is done already, or was not needed.
  if (!changed.task && changed.changed) return { ...who, status: after, changed: true };
  if (!changed.task) return unsent(changed, who, before);
  const report = await context.settle(changed.task);
  const queued = report.type.startsWith("ha");
  const reached = report.unstarted ? "stopped" : after;
  const status = report.state === "running" || queued ? before : reached;
  return {
    ...who,
    ...(report.vmid !== undefined && { vmid: report.vmid }),
    ...(status && { status }),
    changed: true,
    upid: report.upid,
    task: taskFields(report),
  };
}

interface Explaining<C> {
  explain(problem: Problem, changed: C, call: Call): Promise<Problem>;
}

/** As `settled`, for what leaves no state behind that is worth telling; a failure is told as whoever sent it explains it. */
export async function settledEdit<C extends Changed<Identified>>(
  changed: C,
  sender: Explaining<NoInfer<C>>,
  context: ToolContext,
): Promise<Omit<ChangeResult, "status">> {
  const ended = await outcome(settled(changed, changed.guest, { after: "" }, context));
  if (!ended.ok) throw await sender.explain(ended.problem, changed, context.call);
  const { status: _, ...result } = ended.value;
  return result;
}

/** Nothing was sent: it was not needed, or only the plan was asked for. */
function unsent<T>(changed: Changed<T>, who: Subject, status: string | undefined): ChangeResult {
  const base = { ...who, ...(status && { status }), changed: false };
  return changed.plan.request ? { ...base, plan: planFields(changed.plan) } : base;
}

/** A plan as results show it. */
export function planFields({ request, after = [], says, against }: Plan) {
  const requests = (request ? [request, ...after] : []).map((one) => ({
    method: one.method,
    path: one.path,
    params: shown(one),
  }));
  return { says, requests, against: against.map(({ kind, message }) => ({ kind, message })) };
}

/** Characters of a value that a plan repeats. */
const maxValue = 200;

/** Passwords among the parameters are not repeated, long values by their beginning only. */
function shown({ params = {}, secrets = [] }: NonNullable<Plan["request"]>) {
  const told = (value: unknown) => {
    if (typeof value !== "string") return value;
    if (secrets.includes(value)) return "<hidden>";
    if (value.length <= maxValue) return value;
    return `${value.slice(0, maxValue)}… (${value.length} characters)`;
  };
  return Object.fromEntries(Object.entries(params).map(([key, value]) => [key, told(value)]));
}

function identity({ vmid, name, node, type }: Subject) {
  return { vmid, ...(name !== undefined && { name }), node, type };
}

/** A task as results show it. */
export function taskFields(report: TaskReport) {
  const { state, exitstatus, log, remarks, trouble } = report;
  const warnings = [
    ...(state === "warnings" ? (log ?? []) : []),
    ...(remarks ?? []),
    ...(trouble ? [unseen(trouble)] : []),
  ];
  return {
    state,
    ...(exitstatus !== undefined && { exitstatus }),
    ...(warnings.length > 0 && { warnings }),
    ...(report.type.startsWith("ha") && { queued: true }),
  };
}

/** Why nobody can say at the moment how far it is. */
function unseen({ kind, message, next = "" }: Problem): string {
  return `its state can't be asked at the moment (${kind}: ${followedBy(message, next)})`;
}

export function requestLine({ method, path, params }: ShownPlan["requests"][number]): string {
  const values = Object.keys(params).length === 0 ? "" : ` ${JSON.stringify(params)}`;
  return `${method} ${path}${values}`;
}

/** The words for one result: `did` is what a success did, `already` what makes a change needless. */
export function showChange(
  result: ChangeResult,
  words: { readonly did: string; readonly doing: string; readonly already: string },
): string {
  const who = subject(result);
  if (result.plan) return showPlan(result);
  if (!result.changed) return `${who} ${words.already}; nothing was sent.`;
  const task = result.task ?? {};
  if (task["state"] === "running") {
    return [`${who} ${words.doing}: ${stillRuns(result)}`, ...warnings(task)].join("\n");
  }
  if (task["queued"]) {
    return `HA has taken the request for ${who} and begins within about 10 s. Look then with ${lookAt(result)}.`;
  }
  return [`${who} ${words.did}.`, ...warnings(task)].join("\n");
}

export function stillRuns({ upid }: Pick<ChangeResult, "upid">): string {
  return `the task still runs. Follow it with get_tasks {upid: "${upid}", wait_s: 60}.`;
}

/** `get_vm {vm: "101"}` */
export function lookAt({ type, vmid }: Pick<ChangeResult, "type" | "vmid">): string {
  return type === "lxc" ? `get_container {container: "${vmid}"}` : `get_vm {vm: "${vmid}"}`;
}

/** `VM 101 (web-1) on pve1`. */
export function subject(result: Pick<ChangeResult, "vmid" | "name" | "node" | "type">): string {
  const name = result.name === undefined ? "" : ` (${result.name})`;
  return `${result.type === "lxc" ? "container" : "VM"} ${result.vmid}${name} on ${result.node}`;
}

/** As planFields makes it; the short one of several has `sends` instead. */
export interface ShownPlan {
  readonly says: string;
  readonly requests: readonly {
    readonly method: string;
    readonly path: string;
    readonly params: Readonly<Record<string, unknown>>;
  }[];
  readonly sends?: readonly string[];
  readonly against: readonly { readonly kind: string; readonly message: string }[];
}

export function showPlan(result: Pick<ChangeResult, "plan">): string {
  const plan = result.plan as unknown as Partial<ShownPlan>;
  const { says = "", requests, sends = [], against = [] } = plan;
  const reasons = against.map(({ kind, message }) => `Against it: ${kind}: ${message}`);
  if (!requests) {
    const lines = sends.length === 0 ? "" : `: ${sends.join(", ")}`;
    return [`Not sent: ${says}${lines}`, ...reasons].join("\n");
  }
  const lines = requests.map((request) => oneLine(requestLine(request), 500));
  return [`Nothing was sent. The call ${says}:`, ...lines, ...reasons].join("\n");
}

export function warnings(task: Readonly<Record<string, unknown>>): readonly string[] {
  const lines = Array.isArray(task["warnings"]) ? task["warnings"] : [];
  return lines.slice(0, 10).map((line) => `Warning: ${oneLine(String(line), 500)}`);
}

const maxUnlooked = 9;

/** What could not be looked at before, in the plan and in the answer as in the question. */
export function unlooked(unchecked: readonly string[]): { warnings?: string[] } {
  if (unchecked.length === 0) return {};
  const rest = unchecked.length - maxUnlooked;
  const shown = unchecked.slice(0, maxUnlooked).map((one) => `use not checked for ${one}`);
  return { warnings: rest > 0 ? [...shown, `use not checked for ${rest} more`] : shown };
}
