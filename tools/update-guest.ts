import * as z from "zod";
import type { OptionStep, Updated } from "../src/proxmox/config/guest-update.ts";
import { oneLine } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { type ChangeResult, changeFields, settledEdit, showChange } from "./outcome.ts";
import * as params from "./params.ts";

/** A string to clients; numbers, booleans and lists of strings are taken too, a list as lines. */
const option = z.preprocess((given) => {
  if (typeof given === "boolean") return given ? "1" : "0";
  if (typeof given === "number") return String(given);
  const list = Array.isArray(given) && given.every((item) => typeof item === "string");
  return list ? given.join("\n") : given;
}, z.string().max(32_000));

/** What waits, and what to do about it; for every tool that changes options. */
export const pendingFields = { pending: z.array(z.string()).optional() };

const { status: _, ...fields } = changeFields;

export const updateGuest = defineTool({
  name: "update_guest",
  description:
    "Changes options of a VM or container: hardware, networks, notes, tags. The rest stays; tells what waits for a restart.",
  effect: "change",
  input: z.object({
    guest: params.guest,
    set: z
      .record(z.string().max(100), option)
      .optional()
      .describe('like net0 "bridge=vmbr1", which keeps its MAC'),
    unset: z.array(z.string().max(100)).max(50).optional().describe("net1, net0.tag"),
    digest: z.string().max(40).optional(),
    ...params.changing,
  }),
  output: z.object({ ...fields, updated: z.array(z.string()).optional(), ...pendingFields }),
  async run({ guest, set = {}, unset = [], digest, dry_run: dryRun }, context) {
    const { proxmox, call } = context;
    const updated = await proxmox.updates.update(guest, call, { set, unset, digest, dryRun });
    const result = await settledEdit(updated, proxmox.updates, context);
    if (result.plan)
      return { ...result, plan: { ...result.plan, changes: updated.steps.map(short) } };
    return {
      ...result,
      updated: updated.steps.map(({ key }) => key),
      ...(await waiting(result, updated, context)),
    };
  },
  show(result) {
    const { updated = [], plan } = result;
    const steps = (plan?.["changes"] ?? []) as readonly OptionStep[];
    const shown = showChange(result, {
      did: `is changed: ${updated.join(", ")}`,
      doing: "is being changed",
      already: "is as wanted already",
    });
    return [shown, ...steps.map(step), ...showPending(result)].join("\n");
  },
});

/** Options that are not in effect yet, asked when the change is done. */
export async function waiting(
  result: ChangeResult,
  { guest }: Pick<Updated, "guest">,
  { proxmox, call }: ToolContext,
) {
  if (result.task?.["state"] === "running") return {};
  const pending = [...(await proxmox.updates.pending(guest, call))];
  return pending.length === 0 ? {} : { pending };
}

export function showPending({
  vmid,
  pending = [],
}: {
  readonly vmid?: number | undefined;
  readonly pending?: readonly string[] | undefined;
}): readonly string[] {
  if (pending.length === 0) return [];
  return [
    `Waits for a restart: ${pending.join(", ")}. restart_guest {guest: "${vmid}"} applies it.`,
  ];
}

/** A long note is recognised by its beginning. */
function short({ key, from, to }: OptionStep): OptionStep {
  const cut = (value: string) => oneLine(value, 300);
  return {
    key,
    ...(from !== undefined && { from: cut(from) }),
    ...(to !== undefined && { to: cut(to) }),
  };
}

function step({ key, from, to }: OptionStep): string {
  const words = (value = "not set") => oneLine(value, 200);
  return `${key}: ${words(from)} → ${words(to)}`;
}
