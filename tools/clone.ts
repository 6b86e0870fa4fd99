import * as z from "zod";
import type { CloneOptions } from "../src/proxmox/clones/clone.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import * as create from "./create-params.ts";
import {
  type ChangeResult,
  changeFields,
  planFields,
  settled,
  showChange,
  showPlan,
} from "./outcome.ts";
import * as params from "./params.ts";
import { done, results, showResults } from "./results.ts";

const options = {
  name: params.newName,
  vmid: params.newVmid,
  full: z.boolean().optional().describe("default: unless of a template"),
  snapshot: params.snapshot.optional().describe("clone this state"),
  node: params.node.optional().describe("other node; needs shared storage"),
  storage: params.storage.optional().describe("full clones only"),
  pool: params.pool.optional(),
  start: z.boolean().optional(),
};

const source = z.record(z.string(), z.unknown()).optional();
const output = z.object({ ...changeFields, source });
const vmOutput = z.object({
  ...changeFields,
  source,
  addresses: z.array(z.string()).optional(),
  results: z.array(z.unknown()).optional(),
});
type Result = z.output<typeof vmOutput>;

export const cloneVm = defineTool({
  name: "clone_vm",
  description:
    "Makes a new VM, or several, from a VM or a template and waits until it is ready and, started, has an address. Finds node and vmid itself; refuses a name that is taken.",
  effect: "change",
  input: z.object({
    vm: params.vm,
    ...options,
    count: create.count.describe("name counts up"),
    cores: create.cores,
    memory: create.memory.describe("MiB"),
    pci: create.lines.optional().describe("mappings, for each"),
    user: create.short.optional().describe("cloud-init"),
    password: create.password,
    password_file: create.passwordFile,
    ssh_keys: create.lines.optional(),
    ips: create.lines.optional().describe("dhcp, or 192.0.2.5/24,gw=192.0.2.1"),
    nameservers: create.lines.optional(),
    ...params.changing,
  }),
  fileArguments: ["password_file"],
  output: vmOutput,
  async run({ vm, count, wait_s: waitS, ...args }, context) {
    const { clones } = context.proxmox;
    const until = patience(waitS, context);
    const { password_file: file, ssh_keys: sshKeys, ...rest } = args;
    const password = await create.passwordOf(args.password, file, context);
    const one = (wishes: { name: string; vmid?: number | undefined; patient?: number }) =>
      clone(vm, "qemu", { ...rest, ...wishes, password, sshKeys, until }, context);
    if (count === undefined) return one(args);
    const names = clones.series(args.name, count, args.ips);
    if (args.dry_run) return planned(vm, { ...rest, password, sshKeys, until }, names, context);
    const first = args.vmid;
    // Others wait for their turn behind one that has no address.
    const wishes = names.map((name, index) => ({
      name,
      vmid: first && first + index,
      patient: 0.5,
    }));
    return { results: results(names, await context.each(wishes, one)).map(row) };
  },
  show: (result) => {
    if (!result.results) return show(result);
    return result.plan ? showSeries(result) : showResults(result.results, show);
  },
});

export const cloneContainer = defineTool({
  name: "clone_container",
  description:
    "Makes a new container from a container or a template and waits until it is ready. A running one needs a snapshot.",
  effect: "change",
  input: z.object({ container: params.container, ...options, ...params.changing }),
  output,
  run: ({ container, wait_s: waitS, ...rest }, context) =>
    clone(container, "lxc", { ...rest, until: patience(waitS, context) }, context),
  show,
});

/** The requests of the first stand for those of all. */
async function planned(
  reference: string,
  { dry_run: _, ...wishes }: Wishes,
  names: readonly string[],
  { proxmox, call }: ToolContext,
): Promise<Result> {
  const { first, guests } = await proxmox.clones.planSeries(reference, call, wishes, names);
  return { changed: false, plan: planFields(first.plan), results: [...guests] };
}

/** One of several: what a success has in common with the others is left out, a warning is not. */
function row(result: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { source: _, type: __, ...short } = result;
  return done(short as ChangeResult);
}

function showSeries(result: Result): string {
  const guests = (result.results ?? []) as { name: string; vmid: number }[];
  const all = guests.map(({ name, vmid }) => `${vmid} (${name})`).join(", ");
  return `${showPlan(result)}\nThe same for each of these ${guests.length}: ${all}.`;
}

/** `until`: how long its turn and its address are waited for. */
interface Wishes extends Omit<CloneOptions, "dryRun"> {
  readonly dry_run?: boolean | undefined;
  /** The part of what is left of it for the address; 1 when absent. */
  readonly patient?: number;
}

function patience(waitS: number, { proxmox }: ToolContext): number {
  return proxmox.clock.now() + waitS * 1000;
}

async function clone(
  reference: string,
  kind: "qemu" | "lxc",
  { dry_run: dryRun, patient = 1, ...wishes }: Wishes,
  context: ToolContext,
): Promise<Result> {
  const { proxmox, call } = context;
  const changed = await proxmox.clones.clone(reference, kind, call, { ...wishes, dryRun });
  const { source, guest } = changed.guest;
  const states = { after: wishes.start ? "running" : "stopped" };
  const result = await settled(changed, guest, states, context);
  const made = { ...guest, vmid: result.vmid ?? guest.vmid };
  proxmox.lookup.names.tell(made, guest.name);
  const origin = { vmid: source.vmid, name: source.name, node: source.node };
  const ready = { ...result, source: origin };
  if (result.status !== "running" || kind === "lxc") return ready;
  if (!source.config.agent) return unaddressed(ready, agentOff);
  const now = proxmox.clock.now();
  const until = now + (wishes.until - now) * patient;
  const told = await proxmox.details.addresses.wait(made, until, call);
  return told.addresses
    ? { ...ready, addresses: [...told.addresses] }
    : unaddressed(ready, `${told.why}. Ask later with ${ask(made.vmid)}`);
}

const agentOff =
  "the option agent is off. With a guest agent inside, update_guest {set: {agent: 1}} and restart_guest let it be asked";
const ask = (vmid: number) => `get_vm {vm: "${vmid}", include: ["agent"]}`;

/** It is told with what the task has to say. */
function unaddressed(result: Result, why: string): Result {
  const before = result.task?.["warnings"];
  const line = `its address is not known: ${why}`;
  const warnings = [...(Array.isArray(before) ? before : []), line];
  return { ...result, task: { ...result.task, warnings } };
}

function show(result: Result): string {
  const { source, addresses = [] } = result;
  const origin = source?.["name"] === undefined ? "" : ` (${source["name"]})`;
  const from = source ? ` from ${source["vmid"]}${origin}` : "";
  const state = result.status === undefined ? "" : ` and ${result.status}`;
  const at = addresses.length === 0 ? "" : ` at ${addresses.slice(0, 5).join(", ")}`;
  return showChange(result, {
    did: `is ready${from}${state}${at}`,
    doing: `is being cloned${from}`,
    already: "",
  });
}
