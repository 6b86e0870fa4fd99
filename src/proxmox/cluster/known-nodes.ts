import { Problem } from "../../problem.ts";
import { closest, echoed } from "../../text.ts";
import type { Call } from "../api/call.ts";
import type { NodeRow } from "./inventory.ts";
import type { Lookup } from "./lookup.ts";

/** An inventory that is no older, in ms, is young enough to call a node unknown: many calls with a wrong name cost one request. */
const refreshMs = 2_000;

/** The node of that name, asked for anew where memory has none; throws `not_found` with the closest ones. */
export async function knownNode(lookup: Lookup, name: string, call: Call): Promise<NodeRow> {
  const known = (await lookup.inventory(call)).nodes.get(name);
  if (known) return known;
  const { nodes } = await lookup.inventory(call.within(refreshMs));
  const row = nodes.get(name);
  if (row) return row;
  const names = [...nodes.keys()].sort();
  const near = closest(name, names, 3);
  throw new Problem("not_found", `There is no node named ${echoed(JSON.stringify(name), 65)}.`, {
    next: `Nodes: ${(near.length > 0 ? near : names.slice(0, 20)).join(", ")}.`,
    facts: { argument: "node", nodes: names.slice(0, 50) },
  });
}
