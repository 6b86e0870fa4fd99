import { cpusOf, memoryBytes } from "./guest-config.ts";
import { steadyFigure } from "./random.ts";
import type { Guest, Node, Storage, World } from "./world.ts";

/** What a guest uses at a moment; all zero while it is stopped. */
export interface Usage {
  /** Share of its own CPUs, 0..1. */
  readonly cpu: number;
  readonly memBytes: number;
  readonly uptimeS: number;
  readonly netin: number;
  readonly netout: number;
  readonly diskread: number;
  readonly diskwrite: number;
}

const nothing: Usage = {
  cpu: 0,
  memBytes: 0,
  uptimeS: 0,
  netin: 0,
  netout: 0,
  diskread: 0,
  diskwrite: 0,
};

/** Figures that depend on guest and time only. `now`: milliseconds since the epoch. */
export function guestUsage(guest: Guest, now: number): Usage {
  if (guest.run.status !== "running") return nothing;
  const uptimeS = Math.max(0, Math.floor((now - guest.run.since) / 1000));
  const lean = steadyFigure(`lean ${guest.vmid}`);
  const wave = Math.sin(now / 60_000 + lean * 6);
  const load = guest.traits.load ?? 0.02 + 0.2 * lean ** 3;
  const cpu = guest.run.qmpstatus === "paused" ? 0 : round(load * (1 + 0.3 * wave), 10_000);
  const memBytes = Math.floor(memoryBytes(guest) * (0.35 + 0.4 * lean + 0.03 * wave));
  const traffic = Math.floor(uptimeS * (200 + 4000 * lean));
  return {
    cpu,
    memBytes,
    uptimeS,
    netin: traffic * 3,
    netout: traffic,
    diskread: traffic * 20,
    diskwrite: traffic * 11,
  };
}

export interface NodeUsage {
  readonly cpu: number;
  readonly memBytes: number;
  readonly rootBytes: number;
  readonly uptimeS: number;
}

/** What nodes use: what their running guests use, and a little for themselves. One walk over all guests serves them all. */
export function nodeUsages(
  world: World,
  nodes: Iterable<Node>,
  now: number,
): Map<string, NodeUsage> {
  const load = new Map<string, { cpus: number; memBytes: number }>();
  for (const node of nodes)
    load.set(node.name, { cpus: 0.01 * node.cpus, memBytes: 2.5 * 1024 ** 3 });
  for (const guest of world.guests.values()) {
    const sum = load.get(guest.node);
    if (!sum || guest.run.status !== "running") continue;
    const usage = guestUsage(guest, now);
    sum.cpus += usage.cpu * cpusOf(guest);
    sum.memBytes += usage.memBytes;
  }
  const usages = new Map<string, NodeUsage>();
  for (const node of nodes) {
    const { cpus = 0, memBytes = 0 } = load.get(node.name) ?? {};
    usages.set(node.name, {
      cpu: round(Math.min(0.99, cpus / node.cpus), 10_000),
      memBytes: Math.min(Math.floor(memBytes), Math.floor(node.memoryBytes * 0.97)),
      rootBytes: Math.floor(node.rootBytes * (0.08 + 0.1 * steadyFigure(node.name))),
      uptimeS: Math.max(0, Math.floor((now - node.bootedAt) / 1000)),
    });
  }
  return usages;
}

/** Bytes used on storages; one walk over all volumes serves every row of an answer. */
export class StorageUsage {
  /** By storage and home node (empty for shared ones), separated by a slash. */
  readonly #used = new Map<string, number>();

  constructor(world: World) {
    for (const { volid, node, content, sizeBytes } of world.volumes.values()) {
      const key = `${volid.slice(0, volid.indexOf(":"))}/${node}`;
      const share = content === "images" || content === "rootdir" ? 0.4 : 1;
      this.#used.set(key, (this.#used.get(key) ?? 0) + sizeBytes * share);
    }
  }

  /** As one node sees it. */
  of(storage: Storage, node: string): number {
    const used = this.#used.get(`${storage.id}/${storage.shared ? "" : node}`) ?? 0;
    return Math.min(Math.floor(storage.totalBytes * 0.02 + used), storage.totalBytes);
  }
}

function round(value: number, factor: number): number {
  return Math.round(value * factor) / factor;
}
