import * as z from "zod";
import type { Plan } from "../src/proxmox/plan.ts";
import type { Task } from "../src/proxmox/task.ts";
import type { Volume } from "../src/proxmox/volumes.ts";
import { bytes, oneLine } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { changeFields, planFields, showPlan, taskFields, unlooked, warnings } from "./outcome.ts";
import * as params from "./params.ts";

const { node, changed, upid, task, plan } = changeFields;
const output = z.object({
  volid: z.string(),
  storage: z.string(),
  node,
  status: z.string(),
  changed,
  upid,
  task,
  plan,
});

type Result = z.output<typeof output>;

interface Done {
  readonly volid: string;
  readonly storage: string;
  readonly node: string;
  readonly changed: boolean;
  readonly plan: Plan;
  readonly task?: Task;
}

/** What came of it; `states` are what it is before, meanwhile and after. */
async function settled(
  { volid, storage, node, changed, plan, task }: Done,
  states: readonly [before: string, meanwhile: string, after: string],
  dryRun: boolean | undefined,
  context: ToolContext,
): Promise<Result> {
  const [before, meanwhile, after] = states;
  const done = { volid, storage, node, changed };
  if (dryRun) return { ...done, status: before, changed: false, plan: planFields(plan) };
  if (!task) return { ...done, status: after };
  const report = await context.settle(task);
  const status = report.state === "running" ? meanwhile : after;
  return { ...done, status, upid: report.upid, task: taskFields(report) };
}

export const downloadStorage = defineTool({
  name: "download_storage",
  description:
    "Lets a node download an ISO image, container template or disk image (import) from a URL to a storage, with its checksum verified; answers the volid. A file that is there is left alone.",
  effect: "change",
  input: z.object({
    storage: params.storage,
    url: z
      .string()
      .trim()
      .min(1)
      .max(2_000)
      .describe("vztmpl also: debian-13-standard, docker.io/library/nginx:latest"),
    content: z.enum(["iso", "vztmpl", "import"]),
    filename: z.string().min(1).max(255).optional().describe("default: as in the URL"),
    checksum: z.string().trim().min(1).max(500).optional(),
    checksum_algorithm: z
      .enum(["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
      .optional()
      .describe("default: by its length"),
    node: params.node.optional(),
    ...params.changing,
  }),
  output,
  async run(args, context) {
    const { storage, url, content, filename, checksum, node, dry_run: dryRun } = args;
    const algorithm = args.checksum_algorithm;
    const order = { storage, url, content, filename, checksum, algorithm, node, dryRun };
    const { existed, ...begun } = await context.proxmox.downloads.download(order, context.call);
    const before = existed ? "present" : "absent";
    const states = [before, existed ? "present" : "downloading", "present"] as const;
    return settled({ ...begun, changed: !existed }, states, dryRun, context);
  },
  show(result) {
    if (result.plan) return showPlan(result);
    const who = `${result.volid} on ${result.node}`;
    if (result.task?.["state"] === "running") return goesOn(result, `${who} is being downloaded`);
    const wasThere = `was there already${result.task ? ", with this checksum" : ""}`;
    const what = result.changed ? "was downloaded" : wasThere;
    return [`${who} ${what}.`, ...warnings(result.task ?? {})].join("\n");
  },
});

export const deleteStorageContent = defineTool({
  name: "delete_storage_content",
  description:
    "Deletes an ISO image, template, backup or disk from a storage, for good; refuses what a guest, a snapshot or a linked clone still uses. The first call without confirm says what to repeat.",
  effect: "destroy",
  input: z.object({
    volume: z.string().trim().min(1).max(300).describe("volid, as list_storage shows it"),
    node: params.node.optional(),
    confirm: z.string().max(300).optional().describe("the same volid"),
    ...params.changing,
  }),
  output: output.extend({ warnings: z.array(z.string()).optional() }),
  async run({ volume: volid, node, confirm: given, dry_run: dryRun }, context) {
    const deleted = await context.proxmox.volumes.delete(volid, context.call, {
      node,
      dryRun,
      confirm: (volume, unchecked) =>
        context.confirm({
          subject: `${volume.volid} on ${volume.shared ? "shared storage" : volume.node}`,
          expected: volume.volid,
          given,
          lost: [lossOf(volume), ...unchecked.map((one) => `use not checked for ${one}`)],
        }),
    });
    const { volume, plan, changed, task } = deleted;
    const where = { volid, storage: volume.storage, node: volume.node };
    const done = { ...where, changed, plan, ...(task && { task }) };
    const states = ["present", "being deleted", "deleted"] as const;
    return { ...(await settled(done, states, dryRun, context)), ...unlooked(deleted.unchecked) };
  },
  show(result) {
    const more = [...warnings(result), ...warnings(result.task ?? {})];
    if (result.plan) return [showPlan(result), ...more].join("\n");
    const who = `${result.volid} on ${result.node}`;
    const goes = result.task?.["state"] === "running";
    const what = goes ? goesOn(result, `${who} is being deleted`) : `${who} is deleted.`;
    return [what, ...more].join("\n");
  },
});

function lossOf({ content, sizeBytes, vmid, createdAt, notes }: Volume): string {
  const made = createdAt === undefined ? "" : new Date(createdAt).toISOString().slice(0, 16);
  return [
    `the ${content} file`,
    sizeBytes === undefined ? "" : `of ${bytes(sizeBytes)}`,
    vmid === undefined ? "" : `of guest ${vmid}`,
    made === "" ? "" : `made ${made}`,
    notes === undefined ? "" : `(${oneLine(notes, 60)})`,
  ]
    .filter((piece) => piece !== "")
    .join(" ");
}

function goesOn({ upid }: Result, what: string): string {
  return `${what}: the task still runs. Follow it with get_tasks {upid: "${upid}", wait_s: 60}.`;
}
