import * as z from "zod";
import { ifAllowed, type Outcome, outcome } from "../src/each.ts";
import type { HaEntry } from "../src/proxmox/cluster/cluster.ts";
import type { GuestRow, NodeRow, StorageRow } from "../src/proxmox/cluster/inventory.ts";
import type { SilentNode } from "../src/proxmox/cluster/silence.ts";
import type { Unseen } from "../src/proxmox/cluster/unseen.ts";
import type { ListedTask } from "../src/proxmox/tasks/listed-task.ts";
import { bytes, count, duration, oneLine, percent, table } from "../src/text.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { degradedBy } from "./degraded.ts";
import * as params from "./params.ts";

const clusterOutput = z.object({
  name: z.string().optional(),
  quorate: z.boolean().optional(),
  nodes: z.array(z.unknown()),
  degraded: z.array(z.unknown()).optional(),
  guests: z.record(z.string(), z.unknown()),
  attention: z.array(z.string()),
  unseen: z.array(z.unknown()).optional(),
});

const nearlyFull = 0.85;
const maxNamed = 5;

export const getCluster = defineTool({
  name: "get_cluster",
  description:
    "Health of the cluster at a glance: quorum, nodes with version and load, and what needs attention (offline nodes, HA errors, failed tasks, full storages, locked guests).",
  effect: "read",
  input: z.object({ ...params.reading }),
  output: clusterOutput,
  async run(_args, { proxmox, call }) {
    const { cluster, lookup } = proxmox;
    const [inventory, status, ha, tasks] = await Promise.all([
      lookup.inventory(call),
      ifAllowed(cluster.status(call)),
      ifAllowed(cluster.ha(call)),
      ifAllowed(cluster.recentTasks(call)),
    ]);
    const guests = lookup.rows(inventory);
    const nodes = [...inventory.nodes.values()].toSorted((a, b) => (a.node < b.node ? -1 : 1));
    const [versions, unseen] = await Promise.all([
      nodeVersions(nodes, { proxmox, call }),
      cluster.unseen(inventory, status, call),
    ]);
    const mute = muteNodes(nodes, versions);
    const failed = failedSince(tasks ?? [], proxmox.clock.now() - 24 * 3_600_000);
    return {
      ...(status?.name !== undefined && { name: status.name }),
      ...(status && { quorate: status.quorate }),
      nodes: nodes.map((row, index) => nodeFields(row, versionOf(versions[index]), guests)),
      ...degradedBy([...lookup.silence.among(inventory.nodes.keys(), inventory), ...mute]),
      guests: guestCounts(guests),
      attention: [
        ...(status?.quorate === false
          ? ["The cluster has no quorum: nothing can be changed."]
          : []),
        ...nodes
          .filter(({ status: state }) => state !== "online")
          .map(({ node, status: state }) => `Node ${node} is ${state}`),
        ...mute.map(({ node, reason }) => `Node ${node}: ${reason}`),
        ...broken(ha ?? []),
        ...lockedGuests(guests),
        ...fullStorages(inventory.storages),
        ...failed,
      ],
      ...(unseen.length > 0 && { unseen: [...unseen] }),
    };
  },
  show({ name, quorate, nodes, guests, attention, unseen = [] }) {
    const rows = nodes as readonly ReturnType<typeof nodeFields>[];
    const quorum = quorate === undefined ? "" : quorate ? ", quorate" : ", NO QUORUM";
    const counts = Object.entries(guests)
      .map(([state, amount]) => `${amount} ${state}`)
      .join(", ");
    return [
      `${title(name, rows.length)}: ${count(rows.length, "node")}${quorum}; guests: ${counts}`,
      table(rows, nodeColumns),
      ...(attention.length > 0
        ? ["Needs attention:", ...attention.map((line) => `- ${line}`)]
        : [`Nothing ${unseen.length > 0 ? "of what can be seen " : ""}needs attention.`]),
      ...(unseen as readonly Unseen[]).map(
        ({ what, privilege, path, grant }) =>
          `Not seen: ${what}, for want of ${privilege} on ${path}. ${grant}`,
      ),
    ].join("\n");
  },
});

/** A node that does not answer has no version; that is said elsewhere. */
async function nodeVersions(
  nodes: readonly NodeRow[],
  { proxmox, call }: Pick<ToolContext, "proxmox" | "call">,
): Promise<readonly (Outcome<string> | undefined)[]> {
  return Promise.all(
    nodes.map(async ({ node, status }) =>
      status === "online" ? outcome(proxmox.cluster.nodeVersion(node, call)) : undefined,
    ),
  );
}

function versionOf(version: Outcome<string> | undefined): string | undefined {
  return version?.ok ? version.value : undefined;
}

/** Nodes that are online and did not answer. */
function muteNodes(
  nodes: readonly NodeRow[],
  versions: readonly (Outcome<string> | undefined)[],
): readonly SilentNode[] {
  return nodes.flatMap(({ node }, index) => {
    const version = versions[index];
    if (!version || version.ok) return [];
    const { kind, message } = version.problem;
    return [{ node, reason: oneLine(`${kind}: ${message}`, 200) }];
  });
}

/** A node as lists and get_node show it. */
export function nodeFields(row: NodeRow, version: string | undefined, guests: readonly GuestRow[]) {
  const own = guests.filter((guest) => guest.node === row.node);
  return {
    node: row.node,
    status: row.status,
    version,
    cpu: row.cpu,
    cores: row.cores,
    memory_used_bytes: row.memoryUsedBytes,
    memory_bytes: row.memoryBytes,
    uptime_s: row.uptimeS,
    guests: own.length,
    running: own.filter((guest) => guest.status === "running").length,
  };
}

type NodeFields = ReturnType<typeof nodeFields>;

/** Without Sys.Audit the name of a cluster can't be seen. */
function title(name: string | undefined, nodes: number): string {
  if (name !== undefined) return `Cluster ${name}`;
  return nodes > 1 ? "Cluster" : "Single host";
}

const nodeColumns = [
  { head: "node", cell: (row: NodeFields) => row.node },
  { head: "status", cell: (row: NodeFields) => row.status },
  { head: "version", cell: (row: NodeFields) => row.version },
  {
    head: "cpu",
    cell: (row: NodeFields) =>
      row.cpu === undefined ? undefined : `${percent(row.cpu)} of ${row.cores}`,
  },
  {
    head: "memory",
    cell: (row: NodeFields) =>
      row.memory_bytes === undefined
        ? undefined
        : `${bytes(row.memory_used_bytes ?? 0)} of ${bytes(row.memory_bytes)}`,
  },
  { head: "up", cell: (row: NodeFields) => (row.uptime_s ? duration(row.uptime_s) : undefined) },
  { head: "guests", cell: (row: NodeFields) => `${row.running} of ${row.guests} run` },
];

function guestCounts(guests: readonly GuestRow[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = { total: guests.length };
  for (const { status, template } of guests) {
    const state = template ? "templates" : status;
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
}

function broken(ha: readonly HaEntry[]): readonly string[] {
  return ha
    .filter(({ state }) => /error|fence/.test(state))
    .map(({ id, state }) => `HA: ${id} is in state ${state}`);
}

function lockedGuests(guests: readonly GuestRow[]): readonly string[] {
  const locked = guests.filter(({ lock }) => lock !== undefined);
  return few(
    locked,
    ({ vmid, name, lock }) => `${vmid}${name === undefined ? "" : ` (${name})`} ${lock}`,
    "Locked guests",
  );
}

/** A shared storage is one storage, though every node reports it. */
function fullStorages(storages: readonly StorageRow[]): readonly string[] {
  const full = new Map<string, string>();
  for (const { storage, node, shared, usedBytes = 0, sizeBytes = 0 } of storages) {
    if (sizeBytes > 0 && usedBytes / sizeBytes >= nearlyFull) {
      full.set(shared ? storage : `${storage} on ${node}`, percent(usedBytes / sizeBytes));
    }
  }
  return few([...full], ([where, use]) => `${where} ${use}`, "Storages nearly full");
}

function failedSince(tasks: readonly ListedTask[], since: number): readonly string[] {
  const failed = tasks.filter(
    ({ exitstatus, startedAt }) =>
      startedAt >= since &&
      exitstatus !== undefined &&
      exitstatus !== "OK" &&
      !exitstatus.startsWith("WARNINGS"),
  );
  return few(
    failed,
    ({ type, id, node, exitstatus }) =>
      `${type}${id === undefined ? "" : ` ${id}`} on ${node}: ${oneLine(exitstatus ?? "", 80)}`,
    "Failed tasks of the last day",
  );
}

function few<T>(items: readonly T[], word: (item: T) => string, title: string): readonly string[] {
  if (items.length === 0) return [];
  const named = items.slice(0, maxNamed).map(word).join("; ");
  return [
    `${title}: ${named}${items.length > maxNamed ? ` and ${items.length - maxNamed} more` : ""}`,
  ];
}
