import type { Clock } from "./clock.ts";
import { each } from "./each.ts";
import type { Files } from "./files.ts";
import { confirmByArgument } from "./guard/confirm.ts";
import type { Log } from "./log.ts";
import { createServer, type ToolServer } from "./mcp/server.ts";
import { Call } from "./proxmox/api/call.ts";
import type { ProxmoxClient } from "./proxmox/client.ts";
import type { Tool } from "./tool.ts";

export interface AssemblyOptions {
  readonly proxmox: ProxmoxClient;
  readonly tools: readonly Tool[];
  readonly instructions: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly secrets: readonly string[];
  /** What arguments that name files are read through; without it no tool has such arguments. */
  readonly files?: Files;
  /** Only tools that read are served. */
  readonly readOnly?: boolean;
  /** The inventory is asked for when the first client connects, for the first lookup to join. */
  readonly warmUp?: boolean;
}

/** Several guests of one call are worked on this many at a time: PVE runs three calls at a time per host. */
const atOnce = 4;

/** The tools over one connection, behind the guards, as something that any transport can serve. */
export function assemble(options: AssemblyOptions): ToolServer {
  const { proxmox, readOnly = false, clock, log, secrets, instructions, files } = options;
  const { warmUp = false } = options;
  const served = options.tools
    .filter((tool) => (!readOnly || tool.effect === "read") && (files || !tool.needsFiles))
    .map((tool) => (files ? tool : withoutFiles(tool)));
  return createServer({
    tools: served,
    clock,
    log,
    secrets,
    instructions,
    ...(warmUp && { onFirstClient: () => warm(proxmox, log) }),
    absent: (name) => {
      const tool = options.tools.find((one) => one.name === name);
      if (tool === undefined) return undefined;
      return readOnly && tool.effect !== "read"
        ? "This server runs read-only, so nothing that changes the cluster is offered."
        : "It reads files of this computer: start the server with --files DIR.";
    },
    makeContext: ({ signal, maxAgeMs, progress }) => ({
      proxmox,
      call: new Call({ signal, maxAgeMs, progress }),
      confirm: confirmByArgument,
      ...(files && { files }),
      each: (items, run) => each(items, atOnce, run),
    }),
  });
}

/** Nobody waits for it, so it can neither delay nor fail anything: what is wrong is told by the calls that meet it. */
function warm(proxmox: ProxmoxClient, log: Log): void {
  proxmox.lookup
    .inventory(new Call())
    .catch((error: unknown) => log.debug("warm_up_failed", { error }));
}

/** The tool as it is where no file may be read: these arguments are neither listed nor taken. */
function withoutFiles(tool: Tool): Tool {
  const { fileArguments = [] } = tool;
  if (fileArguments.length === 0) return tool;
  // The mask's type wants the names of a shape that is known; this one is any tool's.
  const named = Object.fromEntries(fileArguments.map((name) => [name, true])) as never;
  return { ...tool, input: tool.input.omit(named) };
}
