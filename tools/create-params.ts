import * as z from "zod";
import { Problem } from "../src/problem.ts";
import type { Made } from "../src/proxmox/creation/blueprint.ts";
import { oneLine } from "../src/text.ts";
import type { ToolContext } from "../src/tool.ts";
import { changeFields, showPlan, subject, taskFields, warnings } from "./outcome.ts";

export const short = z.string().trim().min(1).max(200);
const line = z.string().trim().min(1).max(1_000);
/** Bounds that a caller gets wrong at most once are told then, and not in every list of tools. */
const atMost = (max: number) => (items: readonly unknown[]) => items.length <= max;
export const lines = z.array(line).refine(atMost(40), "a list of at most 40");
const within = (min: number, max: number) =>
  z
    .int()
    .refine((value) => value >= min && value <= max, `between ${min} and ${max}`)
    .optional();
export const flag = z.boolean().optional();
export const password = z.string().min(5).max(128).optional();
export const passwordFile = short.optional();
export const cores = within(1, 512);
/** Of guests in one call. */
export const count = within(1, 20);
/** GiB. */
export const size = within(1, 131_072);
export const memory = within(16, 16_777_216);

/** Free keys of PVE's; numbers, booleans and lists are taken for what PVE writes in their place. */
export const options = z
  .record(
    z.string(),
    z.preprocess((value) => {
      if (typeof value === "boolean") return value ? "1" : "0";
      if (Array.isArray(value)) return value.join(",");
      return typeof value === "number" ? String(value) : value;
    }, z.string().max(4_000)),
  )
  .optional();

export const createdOutput = z.object({
  ...changeFields,
  placement: z.string().optional(),
  reused: z.string().optional(),
});
type Created = z.output<typeof createdOutput>;

/** Given once, or in a file that no model sees. */
export async function passwordOf(
  given: string | undefined,
  file: string | undefined,
  { files }: ToolContext,
): Promise<string | undefined> {
  if (file === undefined || !files) return given;
  if (given !== undefined) throw wrong("Give password or password_file, not both.");
  const [text = ""] = (await files.text(file, "password_file")).split(/\r?\n/);
  if (text.length >= 5) return text;
  throw wrong("The first line of password_file has fewer than 5 characters.");
}

function wrong(message: string): Problem {
  return new Problem("invalid_input", `${message} Nothing was sent.`, {
    next: "Put the password alone into the first line of the file.",
    facts: { argument: "password_file" },
  });
}

/** Waits for the new guest and tells what came of it. */
export async function created(
  made: Made,
  after: string,
  context: ToolContext,
): Promise<z.input<typeof createdOutput>> {
  const { guest, placement, reuses, says, requests, task } = made;
  const { type, name } = guest;
  /** Which guest it is may be known only when the task has gone on. */
  const who = () => {
    const { vmid, node } = guest;
    return { ...(vmid !== undefined && { vmid }), name, ...(node !== undefined && { node }), type };
  };
  const base = { ...(placement && { placement }), ...(reuses && { reused: reuses }) };
  if (made.already) return { ...base, ...who(), status: after, changed: false };
  if (!task) {
    const sent = requests.map(({ method, path, params = {} }) => ({ method, path, params }));
    const against = made.against?.map(({ kind, message }) => ({ kind, message })) ?? [];
    const plan = { says, requests: sent, against };
    return { ...base, ...who(), status: "absent", changed: false, plan };
  }
  const report = await context.settle(task);
  const { vmid, node } = guest;
  if (vmid !== undefined && node !== undefined) {
    context.proxmox.lookup.names.tell({ type, vmid, node }, name);
  }
  const ended = report.unstarted ? "stopped" : after;
  const status = report.state === "running" ? "creating" : ended;
  const about = { upid: report.upid, task: taskFields(report) };
  return { ...base, ...who(), status, changed: true, ...about };
}

export function showCreated(result: Created, did: string): string {
  const { placement, reused } = result;
  const where = [
    ...(placement === undefined ? [] : [`Node: ${placement}.`]),
    ...(reused === undefined ? [] : [`Image: ${reused} of an earlier call is used again.`]),
  ];
  if (result.plan) return [showPlan(result), ...where].join("\n");
  const who = result.vmid === undefined ? `"${result.name}"` : subject(result);
  if (!result.changed) return `${who} is there already, made from just that; nothing was sent.`;
  const task = result.task ?? {};
  const next = `get_tasks {upid: "${result.upid}", wait_s: 60}`;
  const running = task["state"] === "running";
  const words = running
    ? `${who} is being made: the task still runs, and what follows it goes on by itself. Follow it with ${next}.`
    : `${who} ${did} and ${oneLine(result.status ?? "", 20)}.`;
  return [words, ...where, ...warnings(task)].join("\n");
}
