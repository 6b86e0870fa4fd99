import type { SilentNode } from "../src/proxmox/cluster/silence.ts";
import { oneLine } from "../src/text.ts";

/** A node of which only old news could be told, as answers show it. */
export interface Degraded {
  readonly node: string;
  readonly reason: string;
  readonly last_seen?: string;
}

/** The field of an answer; nothing where all is well. */
export function degradedBy(silent: readonly SilentNode[]): { degraded?: Degraded[] } {
  if (silent.length === 0) return {};
  const degraded = silent.map(({ node, reason, lastSeen }) => ({
    node,
    reason,
    ...(lastSeen !== undefined && { last_seen: new Date(lastSeen).toISOString() }),
  }));
  return { degraded };
}

export function silenceWords({ node, reason, last_seen: seen }: Degraded): string {
  return `Node ${node}: ${oneLine(reason, 200)}; what is said of its guests is what was last known${seenWords(seen)}.`;
}

/** ` (last seen …)` */
export function seenWords(seen: string | undefined): string {
  return seen === undefined ? "" : ` (last seen ${seen.slice(0, 19)}Z)`;
}
