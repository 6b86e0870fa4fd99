import { Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import { guestWords } from "../api/values.ts";
import type { Inventory, NodeRow } from "../cluster/inventory.ts";
import type { Identified } from "./identity.ts";
import type { Conditions } from "./migration-conditions.ts";

export interface Wish {
  /** The one with the most free memory when absent. */
  readonly target?: string | undefined;
  /** Where its local disks shall go; to the storage of the same name when absent. */
  readonly storage?: string | undefined;
}

/** Memory that is on its way to a node, in bytes. */
export type Incoming = (node: string) => number;

/** Where a guest goes. Throws `not_found` for a node that is not there, `conflict` where it can't go, with the reason for each. */
export function targetFor(
  guest: Identified,
  wish: Wish,
  conditions: Conditions,
  inventory: Inventory,
  incoming: Incoming,
): string {
  const why = (row: NodeRow) => reasonAgainst(guest, wish, conditions, inventory, row, incoming);
  if (wish.target !== undefined) {
    const row = inventory.nodes.get(wish.target);
    if (!row) throw missing(wish.target, inventory);
    const reason = why(row);
    if (reason !== undefined) throw cannot(guest, `can't go to ${row.node}: ${reason}`, {});
    return row.node;
  }
  const others = [...inventory.nodes.values()].filter((row) => row.node !== guest.node);
  const fit = others.filter((row) => why(row) === undefined);
  const best = fit.toSorted(
    (a, b) => free(b, incoming) - free(a, incoming) || (a.node < b.node ? -1 : 1),
  )[0];
  if (best) return best.node;
  const reasons = Object.fromEntries(others.map((row) => [row.node, why(row)]));
  const told = Object.entries(reasons)
    .slice(0, 8)
    .map(([node, reason]) => `${node} ${reason}`);
  throw cannot(guest, `can go to no other node: ${told.join("; ") || "there is none"}`, reasons);
}

function reasonAgainst(
  guest: Identified,
  { storage }: Wish,
  { refused }: Conditions,
  inventory: Inventory,
  row: NodeRow,
  incoming: Incoming,
): string | undefined {
  const { node } = row;
  if (row.status === "offline") return "is offline";
  const lacking =
    storage === undefined ? (refused.get(node) ?? lacks(guest, inventory, node)) : undefined;
  if (lacking !== undefined) return lacking;
  if (storage !== undefined && !holds(inventory, node, storage, guest)) {
    return `has no storage ${storage} for disks of this kind`;
  }
  const needed = memoryOf(guest);
  const left = free(row, incoming);
  if (row.memoryBytes === undefined || needed <= left) return undefined;
  return `has ${bytes(Math.max(0, left))} of memory free, and it needs ${bytes(needed)}`;
}

/** A storage of the guest that the node does not have; nothing where these credentials see no storages there. */
function lacks(guest: Identified, { storages }: Inventory, node: string): string | undefined {
  const there = storages.filter((row) => row.node === node).map((row) => row.storage);
  const own = guest.config.disks.flatMap(({ storage }) => storage ?? []);
  const seen = storages.filter((row) => row.node === guest.node).map((row) => row.storage);
  const gone = own.find((storage) => seen.includes(storage) && !there.includes(storage));
  return gone === undefined ? undefined : `has no storage ${gone}`;
}

function holds({ storages }: Inventory, node: string, storage: string, guest: Identified): boolean {
  const content = guest.type === "qemu" ? "images" : "rootdir";
  return storages.some(
    (row) => row.node === node && row.storage === storage && row.content.includes(content),
  );
}

/** Only what runs needs memory where it goes. */
function memoryOf(guest: Identified): number {
  const running = guest.status !== undefined && guest.status.status !== "stopped";
  return running ? (guest.status?.memoryBytes ?? guest.row.memoryBytes ?? 0) : 0;
}

/** Without Sys.Audit nothing is known of a node's memory: then it counts as none. */
function free({ node, memoryBytes, memoryUsedBytes }: NodeRow, incoming: Incoming): number {
  return (memoryBytes ?? 0) - (memoryUsedBytes ?? memoryBytes ?? 0) - incoming(node);
}

export { memoryOf as memoryNeeded };

function cannot(guest: Identified, what: string, reasons: Problem["facts"]): Problem {
  const { vmid, type, node } = guest;
  const who = `${guestWords(guest, guest.name)} on ${node}`;
  return new Problem("conflict", `${who} ${what}. Nothing was sent.`, {
    next: "Choose another target, give storage for its local disks, or free memory there (get_cluster, list_storage).",
    facts: { argument: "target", vmid, type, node, reasons },
  });
}

function missing(node: string, inventory: Inventory): Problem {
  const nodes = [...inventory.nodes.keys()].sort();
  return new Problem("not_found", `There is no node "${node}".`, {
    next: `Use one of ${nodes.slice(0, 20).join(", ")}.`,
    facts: { argument: "target", node, nodes },
  });
}
