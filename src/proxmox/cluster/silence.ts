import { given } from "../api/values.ts";
import type { Inventory } from "./inventory.ts";

/** A node that does not tell how its guests are: what is said of them is what was last known. */
export interface SilentNode {
  readonly node: string;
  readonly reason: string;
  /** Clock time in ms of the last inventory that showed it online; absent where none of ours did. */
  readonly lastSeen?: number;
}

/** Which nodes are silent, and since when. */
export class Silence {
  readonly #seen = new Map<string, number>();

  /** A newer inventory has come. */
  hear(inventory: Inventory): void {
    for (const { node, status } of inventory.nodes.values()) {
      if (status === "online") this.#seen.set(node, inventory.beganAt);
    }
  }

  /** Clock time in ms of the last inventory that showed it online; undefined where none of ours did. */
  lastSeen(node: string): number | undefined {
    return this.#seen.get(node);
  }

  /** The silent ones among these nodes, in order of their names. PVE: `unknown` is a host that has not reported for 5 minutes. */
  among(nodes: Iterable<string>, inventory: Inventory): readonly SilentNode[] {
    return [...new Set(nodes)].sort().flatMap((node) => {
      const status = inventory.nodes.get(node)?.status;
      if (status === undefined || status === "online") return [];
      const reason = status === "offline" ? "offline" : "has not reported for minutes";
      return [{ node, reason, ...given({ lastSeen: this.lastSeen(node) }) }];
    });
  }
}
