import * as z from "zod";
import { defineTool } from "../src/tool.ts";
import * as create from "./create-params.ts";
import * as params from "./params.ts";

export const createContainer = defineTool({
  name: "create_container",
  description:
    "Creates a container from a template or an OCI image, fetched first where it is missing. Chooses node and vmid itself and says them.",
  effect: "change",
  input: z.object({
    name: params.newName,
    template: create.short.describe("volid, debian-13-standard, or docker.io/library/nginx:latest"),
    template_storage: params.storage.optional(),
    vmid: params.newVmid,
    node: params.node.optional(),
    rootfs: create.short.describe("local-lvm:8 (GiB)"),
    mounts: create.lines.optional().describe("local-lvm:4,mp=/data"),
    nics: create.lines.optional().describe("vmbr0,ip=dhcp"),
    cores: create.cores,
    memory: create.memory.describe("MiB"),
    unprivileged: z.boolean().default(true),
    nesting: create.flag,
    features: create.lines.optional(),
    password: create.password,
    password_file: create.passwordFile,
    ssh_keys: create.lines.optional(),
    pool: params.pool.optional(),
    tags: create.lines.optional(),
    start: create.flag,
    options: create.options,
    ...params.changing,
  }),
  fileArguments: ["password_file"],
  output: create.createdOutput,
  async run(args, context) {
    const { password_file: file, ssh_keys: sshKeys, dry_run: dryRun, ...rest } = args;
    const password = await create.passwordOf(args.password, file, context);
    const templateStorage = args.template_storage;
    const order = { ...rest, password, sshKeys, templateStorage, dryRun };
    const made = await context.proxmox.making.containers.create(order, context.call);
    return create.created(made, args.start ? "running" : "stopped", context);
  },
  show: (result) => create.showCreated(result, "is created"),
});
