import { isProblem, type Problem } from "../../problem.ts";
import { given } from "../api/values.ts";
import type { Inventory } from "./inventory.ts";

/** A node that does not tell how its guests are: what is said of them is what was last known. */
export interface SilentNode {
  readonly node: string;
  readonly reason: string;
  /** Clock time in ms of the last inventory that showed it online; absent where none of ours did. */
  readonly lastSeen?: number;
}

/** Whether it says that a node has not answered, rather than what it has answered. */
export function isSilence(problem: Problem): boolean {
  return isProblem(problem, "unreachable", "timeout");
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

  /** A node that was asked for its part of a list in vain. */
  of(node: string, problem: Problem, inventory: Inventory): SilentNode {
    return this.silent(node, problem, inventory) ?? { node, reason: words(problem) };
  }

  /** The same where it has not answered; undefined where the problem is its answer. */
  silent(node: string, problem: Problem, inventory: Inventory): SilentNode | undefined {
    if (!isSilence(problem)) return undefined;
    return this.among([node], inventory)[0] ?? { node, reason: words(problem) };
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

function words({ kind, message }: Problem): string {
  return `${kind}: ${message}`;
}
