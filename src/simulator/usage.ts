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

/** A node uses what its running guests use and a little for itself. */
export function nodeUsage(world: World, node: Node, now: number): NodeUsage {
  let cpus = 0.01 * node.cpus;
  let memBytes = 2.5 * 1024 ** 3;
  for (const guest of world.guests.values()) {
    if (guest.node !== node.name || guest.run.status !== "running") continue;
    const usage = guestUsage(guest, now);
    cpus += usage.cpu * cpusOf(guest);
    memBytes += usage.memBytes;
  }
  return {
    cpu: round(Math.min(0.99, cpus / node.cpus), 10_000),
    memBytes: Math.min(Math.floor(memBytes), Math.floor(node.memoryBytes * 0.97)),
    rootBytes: Math.floor(node.rootBytes * (0.08 + 0.1 * steadyFigure(node.name))),
    uptimeS: Math.max(0, Math.floor((now - node.bootedAt) / 1000)),
  };
}

/** Bytes used on a storage as one node sees it. */
export function storageUsedBytes(world: World, storage: Storage, node: string): number {
  let used = storage.totalBytes * 0.02;
  for (const volume of world.volumes.values()) {
    if (!volume.volid.startsWith(`${storage.id}:`)) continue;
    if (!storage.shared && volume.node !== node) continue;
    used +=
      volume.sizeBytes * (volume.content === "images" || volume.content === "rootdir" ? 0.4 : 1);
  }
  return Math.min(Math.floor(used), storage.totalBytes);
}

function round(value: number, factor: number): number {
  return Math.round(value * factor) / factor;
}
