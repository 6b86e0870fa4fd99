import * as z from "zod";
import { Problem } from "../src/problem.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { type ChangeResult, changesOutput, settled, showChange } from "./outcome.ts";
import * as params from "./params.ts";
import { showResults } from "./results.ts";
import { several } from "./several.ts";

const input = z.object({
  guest: params.guest.optional(),
  guests: params.guests.optional(),
  name: z.string().min(1).max(100).optional().describe("default: prefix and UTC time"),
  prefix: z.string().min(1).max(100).optional().describe("default auto-"),
  keep: z.int().min(1).max(100).optional().describe("newest of the prefix that stay"),
  memory: z.boolean().optional().describe("the RAM of running VMs too"),
  description: z.string().max(4_000).optional(),
  ...params.changing,
});

type Args = z.output<typeof input>;
type SnapshotResult = ChangeResult & {
  snapshot?: string | undefined;
  memory?: boolean | undefined;
  removed?: string[] | undefined;
};

export const createSnapshot = defineTool({
  name: "create_snapshot",
  description:
    "Takes a snapshot of VMs or containers; keep then removes the older ones made with the same prefix, nobody else's. Answers its name and what was removed.",
  effect: "change",
  input,
  output: changesOutput.extend({
    snapshot: z.string().optional(),
    memory: z.boolean().optional(),
    removed: z.array(z.string()).optional(),
  }),
  async run(args, context) {
    if (args.name !== undefined && (args.prefix !== undefined || args.keep !== undefined)) {
      throw new Problem("invalid_input", "name goes with neither prefix nor keep.", {
        next: "Leave name out: it is made of prefix and the time, and keep counts these.",
        facts: { argument: "name" },
      });
    }
    return several(args, context, (guest) => take(guest, args, context));
  },
  show: (result) =>
    result.results ? showResults(result.results, (item) => showOne(item)) : showOne(result),
});

async function take(guest: string, args: Args, context: ToolContext): Promise<SnapshotResult> {
  const { name, prefix = "auto-", keep, memory = false, description, dry_run: dryRun } = args;
  const options = { name, prefix, keep, memory, description, dryRun };
  const made = await context.proxmox.snapshots.create(guest, context.call, options);
  const { status } = made.guest.status ?? made.guest.row;
  const result = await settled(made, made.guest, { before: status, after: status }, context);
  const planned = result.plan && {
    plan: {
      ...result.plan,
      removes: [...made.surplus],
      ...(made.leaves.length > 0 && { leaves: [...made.leaves] }),
    },
  };
  return {
    ...result,
    ...planned,
    snapshot: made.name,
    ...(made.memory && { memory: true }),
    ...(keep !== undefined && !planned && { removed: [...made.removed] }),
  };
}

function showOne(result: SnapshotResult): string {
  const { snapshot = "", removed = [], plan } = result;
  const shown = showChange(result, {
    did: `has snapshot ${snapshot}`,
    doing: `is getting snapshot ${snapshot}`,
    already: "was left alone",
  });
  const removes = (plan?.["removes"] ?? []) as readonly string[];
  const leaves = (plan?.["leaves"] ?? []) as readonly string[];
  return [
    shown,
    ...(removes.length > 0 ? [`Then it would remove ${removes.join(", ")}.`] : []),
    ...leaves,
    ...(removed.length > 0 ? [`Removed: ${removed.join(", ")}.`] : []),
  ].join("\n");
}
