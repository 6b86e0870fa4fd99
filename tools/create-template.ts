import * as z from "zod";
import { defineTool } from "../src/tool.ts";
import * as create from "./create-params.ts";
import * as params from "./params.ts";

export const createTemplate = defineTool({
  name: "create_template",
  description:
    "Makes a VM template from the URL of a cloud image: download with checksum, VM, import, cloud-init drive, conversion. Interrupted or out of time, the same call goes on where it stopped. Then clone_vm.",
  effect: "change",
  input: z.object({
    name: params.newName,
    url: z.string().trim().min(1).max(2_000).describe("qcow2, raw or vmdk"),
    checksum: create.short.optional().describe("hex"),
    storage: params.storage.describe("for the disk"),
    image_storage: params.storage.optional().describe("of content import"),
    vmid: params.newVmid,
    node: params.node.optional(),
    size: create.size.describe("GiB; default: the image's"),
    cores: create.cores,
    memory: create.memory.describe("MiB"),
    nics: create.lines.optional().describe("default vmbr0"),
    user: create.short.optional(),
    ssh_keys: create.lines.optional(),
    tags: create.lines.optional(),
    options: create.options,
    ...params.changing,
  }),
  output: create.createdOutput,
  async run(args, context) {
    const { ssh_keys: sshKeys, image_storage: imageStorage, dry_run: dryRun, ...rest } = args;
    const order = { ...rest, sshKeys, imageStorage, dryRun };
    const made = await context.proxmox.making.templates.create(order, context.call);
    return create.created(made, "stopped", context);
  },
  show: (result) => create.showCreated(result, "is a template"),
});
