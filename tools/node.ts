import * as z from "zod";
import { outcome } from "../src/each.ts";
import { Problem } from "../src/problem.ts";
import type { Inventory, StorageRow } from "../src/proxmox/cluster/inventory.ts";
import { bytes, closest, count, duration, oneLine, percent, table } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { nodeFields } from "./cluster.ts";
import * as params from "./params.ts";

const output = z.object({
  node: z.string(),
  status: z.string(),
  version: z.string().optional(),
  cpu: z.number().optional(),
  cores: z.int().optional(),
  memory_used_bytes: z.int().optional(),
  memory_bytes: z.int().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
  storages: z.array(z.unknown()),
  guests: z.int(),
  running: z.int(),
  degraded: z.string().optional(),
});

export const getNode = defineTool({
  name: "get_node",
  description:
    "One node: version, load, memory, root disk, its storages and how many guests run on it. All nodes at a glance: get_cluster.",
  effect: "read",
  input: z.object({ node: params.node, ...params.reading }),
  output,
  async run({ node }, { proxmox, call }) {
    const inventory = await proxmox.lookup.inventory(call);
    const row = inventory.nodes.get(node) ?? missingNode(node, inventory);
    const asked =
      row.status === "offline" ? undefined : await outcome(proxmox.cluster.nodeStatus(node, call));
    if (asked && !asked.ok && !isSilence(asked.problem)) throw asked.problem;
    const status = asked?.ok ? asked.value : undefined;
    const guests = proxmox.lookup.rows(inventory);
    const { uptime_s: _up, ...fields } = nodeFields(row, status?.version, guests);
    return {
      ...fields,
      ...(status && { details: detailFields(status) }),
      storages: inventory.storages.filter((storage) => storage.node === node).map(storageFields),
      ...(status ? {} : { degraded: `node ${node} does not answer: this is what was last known` }),
    };
  },
  show(result) {
    const details = (result.details ?? {}) as Readonly<Record<string, unknown>>;
    const storages = result.storages as readonly ReturnType<typeof storageFields>[];
    return [
      `Node ${result.node}: ${result.status}${result.version ? `, Proxmox VE ${result.version}` : ""}; ${result.running} of ${count(result.guests, "guest")} run`,
      ...(result.degraded ? [`Only partly known: ${result.degraded}.`] : []),
      `cpu ${percent(result.cpu ?? 0)} of ${result.cores ?? "?"} cores, memory ${bytes(result.memory_used_bytes ?? 0)} of ${bytes(result.memory_bytes ?? 0)}`,
      ...Object.entries(details).map(([name, value]) => `${name}: ${value}`),
      table(storages, storageColumns),
    ].join("\n");
  },
});

/** It is the node that could not be had. */
function isSilence({ kind }: Problem): boolean {
  return kind === "unreachable" || kind === "timeout";
}

/** Throws not_found with the nodes that there are. */
export function missingNode(node: string, inventory: Inventory): never {
  const names = [...inventory.nodes.keys()].sort();
  const near = closest(node, names, 3);
  throw new Problem("not_found", `There is no node named "${oneLine(node, 63)}".`, {
    next:
      names.length === 0
        ? "These credentials see no node at all: get_connection_status says what they may do."
        : `Nodes: ${(near.length > 0 ? near : names.slice(0, 20)).join(", ")}.`,
    facts: { argument: "node", nodes: names.slice(0, 50) },
  });
}

type Status = Awaited<ReturnType<ToolContext["proxmox"]["cluster"]["nodeStatus"]>>;

function detailFields(status: Status) {
  const { load, kernel, cpuModel, sockets, rootUsedBytes, rootBytes, swapUsedBytes, uptimeS } =
    status;
  return {
    load: load.join(" "),
    kernel,
    cpu_model: cpuModel,
    sockets,
    root:
      rootBytes === undefined ? undefined : `${bytes(rootUsedBytes ?? 0)} of ${bytes(rootBytes)}`,
    swap_used: swapUsedBytes === undefined ? undefined : bytes(swapUsedBytes),
    up: uptimeS === undefined ? undefined : duration(uptimeS),
  };
}

function storageFields({ storage, status, shared, content, usedBytes, sizeBytes }: StorageRow) {
  return { storage, status, shared, content, used_bytes: usedBytes, size_bytes: sizeBytes };
}

type StorageFields = ReturnType<typeof storageFields>;

const storageColumns = [
  { head: "storage", cell: (row: StorageFields) => row.storage },
  { head: "status", cell: (row: StorageFields) => row.status },
  {
    head: "use",
    cell: (row: StorageFields) =>
      row.size_bytes ? `${bytes(row.used_bytes ?? 0)} of ${bytes(row.size_bytes)}` : undefined,
  },
  { head: "shared", cell: (row: StorageFields) => (row.shared ? "yes" : undefined) },
  { head: "content", cell: (row: StorageFields) => row.content.join(" ") },
];
