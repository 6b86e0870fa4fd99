import * as z from "zod";
import { outcome } from "../src/each.ts";
import { Problem } from "../src/problem.ts";
import type { Migration, MigrationOptions } from "../src/proxmox/guests/migrations.ts";
import { count } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { type ChangeResult, changeFields, settled, showChange } from "./outcome.ts";
import * as params from "./params.ts";
import { results, showResults } from "./results.ts";
import { distinct } from "./several.ts";

const input = z.object({
  guest: params.guest.optional(),
  guests: params.guests.optional(),
  from_node: params.node.optional().describe("all of its guests, instead"),
  target: params.node.optional().describe("default: the node with most free memory"),
  storage: z
    .string()
    .trim()
    .min(1)
    .max(100)
    .optional()
    .describe("for local disks; default: of the same name"),
  at_once: z.int().min(1).max(4).default(2),
  ...params.changing,
});

type Args = z.output<typeof input>;
type Result = ChangeResult & { readonly from?: string; readonly target?: string };

const { vmid, node, changed } = changeFields;

export const migrateGuest = defineTool({
  name: "migrate_guest",
  description:
    "Moves guests to another node: running VMs live with their local disks, containers by a restart. Checks first what stands in the way. One, several, or all of a node, each with its outcome.",
  effect: "interrupt",
  input,
  output: z.looseObject({
    vmid,
    node,
    changed,
    results: z.array(z.unknown()).optional(),
    waiting: z.array(z.string()).optional(),
  }),
  async run(args, context) {
    const until = context.proxmox.clock.now() + args.wait_s * 1000;
    const names = await meant(args, context);
    const planned = args.dry_run ? { planned: [] } : {};
    const { target, storage, at_once: atOnce, dry_run: dryRun } = args;
    const options = { target, storage, atOnce, dryRun, until, ...planned };
    if (args.guest !== undefined) return move(args.guest, options, context);
    const outcomes = await context.each(names, (name) => move(name, options, context));
    const isWaiting = (index: number) => {
      const one = outcomes[index];
      return one?.ok === false && one.problem.facts["at_once"] !== undefined;
    };
    const waiting = names.filter((_, index) => isWaiting(index));
    const begun = results(names, outcomes).filter((_, index) => !isWaiting(index));
    return {
      results: begun.length > 10 ? begun.map(brief) : [...begun],
      ...(waiting.length > 0 && { waiting }),
    };
  },
  show(result) {
    if (!result.results) return showOne(result as Result);
    const { waiting = [] } = result;
    const rows = result.results as readonly Result[];
    const moved = rows.filter((row) => row.changed && row.node === row.target).length;
    return [
      `${moved} of ${count(rows.length + waiting.length, "guest")} moved.`,
      showResults(rows, showOne),
      ...(waiting.length > 0
        ? [`Not begun, for want of a turn: ${waiting.join(", ")}. Repeat the call to go on.`]
        : []),
    ].join("\n");
  },
});

async function meant(args: Args, context: ToolContext): Promise<readonly string[]> {
  const { proxmox, call } = context;
  const { guest, guests, from_node: from, target } = args;
  const given = [guest, guests, from].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new Problem("invalid_input", "Give one of guest, guests and from_node.", {
      next: "guest is one name or vmid, guests a list, from_node a node to be emptied.",
      facts: { argument: "guest" },
    });
  }
  if (from !== undefined && from === target) {
    throw new Problem("invalid_input", "target is the node that is to be emptied.", {
      next: "Leave target out, or name another node.",
      facts: { argument: "target" },
    });
  }
  if (from !== undefined) return proxmox.care.migrations.guestsOn(from, call);
  return distinct(guests ?? [], context);
}

async function move(
  guest: string,
  options: MigrationOptions,
  context: ToolContext,
): Promise<Result> {
  const begun = await context.proxmox.care.migrations.migrate(guest, context.call, options);
  const { row, status } = begun.guest;
  const state = status?.status ?? row.status;
  const ended = await outcome(
    settled(begun, begun.guest, { before: state, after: state }, context),
  );
  if (!ended.ok) throw context.proxmox.explain(ended.problem);
  return { ...ended.value, ...places(begun, ended.value) };
}

/** Where it is now, where it was and where it goes. */
function places({ guest, target, changed }: Migration, { task }: ChangeResult) {
  const arrived = changed && task?.["state"] !== "running" && task?.["queued"] !== true;
  return { from: guest.node, node: arrived ? target : guest.node, target };
}

/** Of many only what tells them apart. */
function brief(row: Readonly<Record<string, unknown>>) {
  const { upid, task, plan, ...rest } = row as Result;
  if (plan) {
    const against = (plan["against"] ?? []) as readonly unknown[];
    return { ...rest, plan: { says: plan["says"], ...(against.length > 0 && { against }) } };
  }
  return task === undefined || task["state"] === "ok" ? rest : { ...rest, upid, task };
}

function showOne(result: Result): string {
  const { plan } = result;
  if (plan && plan["requests"] === undefined) {
    const against = (plan["against"] ?? []) as readonly { kind: string; message: string }[];
    const reasons = against.map(({ kind, message }) => ` Against it: ${kind}: ${message}`);
    return `The call ${plan["says"]}.${reasons.join("")}`;
  }
  return showChange(result, {
    did: `has come from ${result.from}`,
    doing: `is on its way to ${result.target}`,
    already: "is there already",
  });
}
