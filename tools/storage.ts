import * as z from "zod";
import type { Volume } from "../src/proxmox/storage/volumes.ts";
import { bytes, oneLine } from "../src/text.ts";
import { defineTool } from "../src/tool.ts";
import { showPlan, stillRuns, unlooked, warnings } from "./outcome.ts";
import * as params from "./params.ts";
import { settledStored, storedFields } from "./stored.ts";

const output = z.object(storedFields);

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
    return settledStored({ ...begun, changed: !existed }, states, dryRun, context);
  },
  show(result) {
    if (result.plan) return showPlan(result);
    const who = `${result.volid} on ${result.node}`;
    if (result.task?.["state"] === "running")
      return `${who} is being downloaded: ${stillRuns(result)}`;
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
    return {
      ...(await settledStored(done, states, dryRun, context)),
      ...unlooked(deleted.unchecked),
    };
  },
  show(result) {
    const more = [...warnings(result), ...warnings(result.task ?? {})];
    if (result.plan) return [showPlan(result), ...more].join("\n");
    const who = `${result.volid} on ${result.node}`;
    const goes = result.task?.["state"] === "running";
    const what = goes ? `${who} is being deleted: ${stillRuns(result)}` : `${who} is deleted.`;
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
