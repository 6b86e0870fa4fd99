import * as z from "zod";
import type { CloneOptions } from "../src/proxmox/clone.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { changeFields, settled, showChange } from "./outcome.ts";
import * as params from "./params.ts";

const options = {
  name: params.newName,
  vmid: params.newVmid,
  full: z.boolean().optional().describe("default: linked for templates, full for others"),
  snapshot: params.snapshot.optional().describe("clone this state"),
  node: params.node.optional().describe("other node; needs shared storage"),
  storage: params.storage.optional().describe("full clones only"),
  pool: params.pool.optional(),
  start: z.boolean().optional(),
  ...params.changing,
};

const output = z.object({ ...changeFields, source: z.record(z.string(), z.unknown()).optional() });

export const cloneVm = defineTool({
  name: "clone_vm",
  description:
    "Makes a new VM from a VM or a template and waits until it is ready. Finds node and vmid itself; refuses a name that is taken.",
  effect: "change",
  input: z.object({ vm: params.vm, ...options }),
  output,
  run: ({ vm, ...rest }, context) => clone(vm, "qemu", rest, context),
  show,
});

export const cloneContainer = defineTool({
  name: "clone_container",
  description:
    "Makes a new container from a container or a template and waits until it is ready. A running one needs a snapshot.",
  effect: "change",
  input: z.object({ container: params.container, ...options }),
  output,
  run: ({ container, ...rest }, context) => clone(container, "lxc", rest, context),
  show,
});

async function clone(
  reference: string,
  kind: "qemu" | "lxc",
  {
    dry_run: dryRun,
    ...wishes
  }: Omit<CloneOptions, "dryRun"> & { readonly dry_run?: boolean | undefined },
  context: ToolContext,
): Promise<z.input<typeof output>> {
  const { proxmox, call } = context;
  const changed = await proxmox.clones.clone(reference, kind, call, { ...wishes, dryRun });
  const { source, guest } = changed.guest;
  const states = { after: wishes.start ? "running" : "stopped" };
  const result = await settled(changed, guest, states, context);
  proxmox.lookup.names.tell({ ...guest, vmid: result.vmid ?? guest.vmid }, guest.name);
  return { ...result, source: { vmid: source.vmid, name: source.name, node: source.node } };
}

function show(result: z.output<typeof output>): string {
  const { source = {} } = result;
  const from = `from ${source["vmid"]}${source["name"] === undefined ? "" : ` (${source["name"]})`}`;
  const state = result.status === undefined ? "" : ` and ${result.status}`;
  return showChange(result, {
    did: `is ready ${from}${state}`,
    doing: `is being cloned ${from}`,
    already: "",
  });
}
