import type { ProxmoxClient } from "../src/proxmox/client.ts";
import type { SilentNode } from "../src/proxmox/cluster/silence.ts";
import type { UnaskedStorage } from "../src/proxmox/storage/storages.ts";
import { oneLine } from "../src/text.ts";

/** A node of which only old news could be told, or nothing, as answers show it. */
export interface Degraded {
  readonly node: string;
  readonly reason: string;
  readonly last_seen?: string;
  /** Storages whose content there is missing. */
  readonly storages?: readonly string[];
}

/** A storage that its node can't read, or that none of its nodes can. */
export interface Unavailable {
  readonly storage: string;
  readonly node?: string;
  readonly kind: string;
  readonly message: string;
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

/** What is missing of what storages hold: nodes that are silent are one thing, storages that can't be read another. */
export function missingOf(
  unasked: readonly UnaskedStorage[],
  { last, silence }: ProxmoxClient["lookup"],
): { degraded?: Degraded[]; unavailable?: Unavailable[] } {
  const nodes = new Map<string, { silent: SilentNode; storages: string[] }>();
  const unavailable: Unavailable[] = [];
  for (const { storage, node, problem } of unasked) {
    const { kind, message } = problem;
    const silent = node !== undefined && last && silence.silent(node, problem, last);
    if (!silent) {
      unavailable.push({ storage, ...(node !== undefined && { node }), kind, message });
    } else {
      const known = nodes.get(node) ?? { silent, storages: [] };
      known.storages.push(storage);
      nodes.set(node, known);
    }
  }
  const all = [...nodes.values()].toSorted((a, b) => (a.silent.node < b.silent.node ? -1 : 1));
  const { degraded = [] } = degradedBy(all.map(({ silent }) => silent));
  return {
    ...(degraded.length > 0 && {
      degraded: degraded.map((one, index) => ({ ...one, storages: all[index]?.storages ?? [] })),
    }),
    ...(unavailable.length > 0 && { unavailable }),
  };
}

/** Lines that say so. */
export function missingLines(degraded: readonly unknown[], unavailable: readonly unknown[]) {
  return [
    ...(degraded as readonly Degraded[]).map((one) =>
      missingWords(one, `not counted: what it has on ${one.storages?.join(", ")}`),
    ),
    ...(unavailable as readonly Unavailable[]).map(({ storage, node, kind, message }) => {
      const where = node === undefined ? storage : `${storage} on ${node}`;
      return `Not counted: ${where}: ${kind}: ${oneLine(message, 150)}`;
    }),
  ];
}

/** `what` of it is old news. */
export function silenceWords(silent: Degraded, what: string): string {
  const { node, reason, last_seen: seen } = silent;
  return `Node ${node}: ${oneLine(reason, 200)}; what is said of its ${what} is what was last known${seenWords(seen)}.`;
}

/** `missing`: what could not be told of it. */
export function missingWords({ node, reason, last_seen: seen }: Degraded, missing: string): string {
  return `Node ${node}: ${oneLine(reason, 200)}${seenWords(seen)}; ${missing}.`;
}

/** ` (last seen …)` */
export function seenWords(seen: string | undefined): string {
  return seen === undefined ? "" : ` (last seen ${seen.slice(0, 19)}Z)`;
}
