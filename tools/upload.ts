import * as z from "zod";
import { Problem } from "../src/problem.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { showPlan, stillRuns, unlooked, warnings } from "./outcome.ts";
import * as params from "./params.ts";
import { settledStored, storedFields } from "./stored.ts";

const output = z.object({ ...storedFields, warnings: z.array(z.string()).optional() });

type Result = z.output<typeof output>;

export const uploadStorage = defineTool({
  name: "upload_storage",
  description:
    "Uploads an ISO image, container template or disk image (import) from this server's files to a storage, checksum verified; answers the volid. A file of that name and size is left alone.",
  effect: "change",
  input: z.object({
    storage: z.string().trim().min(1).max(100),
    file: z.string().trim().min(1).max(500).describe("path below --files"),
    content: z.enum(["iso", "vztmpl", "import"]),
    filename: z.string().min(1).max(255).optional(),
    checksum: z.string().trim().min(1).max(500).optional(),
    overwrite: z.boolean().default(false),
    node: params.node.optional(),
    ...params.changing,
  }),
  needsFiles: true,
  output,
  async run({ file, dry_run: dryRun, wait_s: _, ...order }, context) {
    const source = await filesOf(context).source(file, "file");
    const sent = await context.proxmox.services.uploads.upload(
      { ...order, source, dryRun },
      context.call,
    );
    const states = [sent.existed ? "present" : "absent", "importing", "present"] as const;
    // What is left alone has nothing to plan.
    const planned = dryRun && sent.plan.request !== undefined;
    const remarks = sent.uncompared ? { warnings: [uncompared] } : unlooked(sent.unchecked);
    return { ...(await settledStored(sent, states, planned, context)), ...remarks };
  },
  show(result) {
    const more = [...warnings(result), ...warnings(result.task ?? {})];
    return [result.plan ? showPlan(result) : told(result), ...more].join("\n");
  },
});

const uncompared =
  "it has the same size, but whether the contents are the same can't be known: Proxmox tells no checksum of what it stores (overwrite: true sends it anew)";

function told(result: Result): string {
  const { volid, node, changed, warnings: remarks, task } = result;
  const who = `${volid} on ${node}`;
  if (!changed) {
    const same = remarks ? "" : ", with the same content";
    return `${who} was there already${same}; nothing was sent.`;
  }
  if (task?.["state"] !== "running") return `${who} was uploaded.`;
  return `${who} was sent and is being imported: ${stillRuns(result)}`;
}

/** Without them the tool is not listed, so nobody should come here. */
function filesOf({ files }: ToolContext): NonNullable<ToolContext["files"]> {
  if (files) return files;
  throw new Problem("unsupported", "This server may read no files.", {
    next: "Start it with --files DIR.",
  });
}
