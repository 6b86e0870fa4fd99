import * as z from "zod";
import { defineTool } from "../src/tool.ts";
import * as create from "./create-params.ts";
import * as params from "./params.ts";

/** PVE: pve-qm-machine, without the properties that may follow. */
const machineType =
  /^(?:pc|q35|virt|(?:pc|pc-i440fx|pc-q35|virt)-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?)$/;

export const createVm = defineTool({
  name: "create_vm",
  description:
    "Creates a VM: blank, from an ISO, or from a cloud image that is on a storage (import-from). Chooses node and vmid itself and says them. From a template: clone_vm; an image that has to be downloaded: create_template.",
  effect: "change",
  input: z.object({
    name: params.newName,
    vmid: params.newVmid,
    node: params.node.optional(),
    cores: create.cores,
    memory: create.memory.describe("MiB, default 2048"),
    cpu: create.short.optional().describe("default x86-64-v2-AES"),
    machine: create.short
      .refine((type) => machineType.test(type), "a machine type: q35, pc or one with its version")
      .optional()
      .describe("q35 …"),
    bios: z.enum(["seabios", "ovmf"]).optional().describe("ovmf brings its EFI disk"),
    tpm: create.flag,
    agent: create.flag.describe("QEMU guest agent"),
    disks: create.lines
      .optional()
      .describe(
        "storage:GiB[,ssd=1 …]; local-lvm:32,import-from=local:import/x.qcow2 grows to 32; virtio0=… picks the bus",
      ),
    nics: create.lines.optional().describe("vmbr0[,tag=20 …]; default none"),
    iso: create.short.optional().describe("volid"),
    boot: create.lines.optional().describe("scsi0, net0 …"),
    pci: create.lines.optional().describe("names of mappings"),
    user: create.short.optional().describe("cloud-init, as the next"),
    password: create.password,
    password_file: create.passwordFile,
    ssh_keys: create.lines.optional(),
    ips: create.lines.optional().describe("per NIC: dhcp, or 192.0.2.5/24,gw=192.0.2.1"),
    nameservers: create.lines.optional(),
    pool: params.pool.optional(),
    tags: create.lines.optional(),
    start: create.flag,
    options: create.options.describe("other keys of PVE's configuration"),
    ...params.changing,
  }),
  fileArguments: ["password_file"],
  output: create.createdOutput,
  async run(args, context) {
    const { password_file: file, ssh_keys: sshKeys, dry_run: dryRun, ...rest } = args;
    const password = await create.passwordOf(args.password, file, context);
    const order = { ...rest, password, sshKeys, dryRun };
    const made = await context.proxmox.making.vms.create(order, context.call);
    return create.created(made, args.start ? "running" : "stopped", context);
  },
  show: (result) => create.showCreated(result, "is created"),
});
