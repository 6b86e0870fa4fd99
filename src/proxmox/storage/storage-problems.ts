import { grantWords, roleFor } from "../../http/permission.ts";
import { Problem } from "../../problem.ts";
import type { Inventory, StorageRow } from "../cluster/inventory.ts";

/** None of these nodes can be asked: `node` names one or more. */
export function offline(node: string): Problem {
  return new Problem("unreachable", `Node ${node} is offline.`, {
    next: "Use another node, or try again when it is back (get_cluster).",
    facts: { node },
  });
}

/** It is defined, and no inventory shows it: PVE shows it there to who may look at it only. */
export function hidden(storage: string, principal: string): Problem {
  const at = `/storage/${storage}`;
  const privilege = "Datastore.Audit";
  const role = roleFor(privilege);
  return new Problem(
    "forbidden",
    `Storage ${storage} is there, but these credentials may not look at it: that needs ${privilege} on ${at}.`,
    {
      next: grantWords(at, role, principal),
      facts: { storage, path: at, privileges: [privilege], role },
    },
  );
}

/** It is on other nodes than the one that was asked for. */
export function notThere(
  storage: string,
  node: string,
  rows: readonly StorageRow[],
  inventory: Inventory,
): Problem {
  const nodes = rows.map((row) => row.node).sort();
  const what = inventory.nodes.has(node)
    ? `Storage ${storage} is not on ${node}`
    : `There is no node "${node}"`;
  return new Problem("not_found", `${what}; ${storage} is on ${nodes.slice(0, 10).join(", ")}.`, {
    next: "Give one of these as node, or leave node out.",
    facts: { storage, node, nodes },
  });
}
