import { cpusOf, isTemplate, maxDiskBytes, memoryBytes, nameOf } from "./guest-config.ts";
import { steadyFigure } from "./random.ts";
import { guestUsage, type NodeUsage, nodeUsages } from "./usage.ts";
import type { Guest, World } from "./world.ts";

/** Milliseconds from one round of pvestatd to the next. */
export const roundMs = 10_000;
/** Figures older than this are dropped (PVE::API2Tools extract_*_stats). */
const staleMs = 300_000;
/** How long a pveproxy worker keeps its own copy. */
const copyMs = 2000;

/** What pvestatd broadcast of one guest; the fields of a row of /cluster/resources. */
export interface GuestStats {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly fields: Readonly<Record<string, string | number>>;
}

interface NodeStats extends NodeUsage {
  readonly at: number;
}

interface Copy {
  readonly at: number;
  readonly guests: ReadonlyMap<number, GuestStats>;
}

/**
 * The figures that each node's pvestatd broadcasts every 10 s, each node at its own second. They are filed under the vmid
 * alone, so a guest that takes a dead guest's vmid carries the dead one's figures until its node's next round.
 */
export class Stats {
  readonly #world: World;
  readonly #guests = new Map<number, GuestStats>();
  readonly #nodes = new Map<string, NodeStats>();
  readonly #copies: (Copy | undefined)[];
  #request = 0;

  /** `workers`: how many pveproxy workers answer in turn, each from a copy of up to 2 s; 0 answers without copies. */
  constructor(world: World, workers: number) {
    this.#world = world;
    this.#copies = Array.from({ length: workers }, () => undefined);
  }

  /** Makes up for all rounds until `now`. The world must not have changed since the last call. */
  catchUp(now: number): void {
    const due = new Map<string, number>();
    for (const node of this.#world.nodes.values()) {
      if (!node.online) continue;
      const at = lastRound(node.name, now);
      if (at > (this.#nodes.get(node.name)?.at ?? Number.NEGATIVE_INFINITY)) due.set(node.name, at);
    }
    if (due.size === 0) return;
    for (const guest of this.#world.guests.values()) {
      const at = due.get(guest.node);
      if (at === undefined || (guest.traits.bornAt ?? at) > at) continue;
      this.#guests.set(guest.vmid, { at, fields: guestFields(guest, at) });
    }
    const nodes = [...this.#world.nodes.values()].filter((node) => due.has(node.name));
    for (const [name, usage] of nodeUsages(this.#world, nodes, now)) {
      this.#nodes.set(name, { at: due.get(name) ?? now, ...usage });
    }
  }

  /** The figures as the worker whose turn it is sees them; call once a request. */
  view(now: number): (vmid: number) => Readonly<Record<string, string | number>> | undefined {
    const guests = this.#viewOfWorker(now);
    return (vmid) => {
      const stats = guests.get(vmid);
      return stats && now - stats.at <= staleMs ? stats.fields : undefined;
    };
  }

  /** What a node last said of itself; undefined when it has been silent for more than five minutes. */
  node(name: string, now: number): NodeUsage | undefined {
    const stats = this.#nodes.get(name);
    return stats && now - stats.at <= staleMs ? stats : undefined;
  }

  #viewOfWorker(now: number): ReadonlyMap<number, GuestStats> {
    if (this.#copies.length === 0) return this.#guests;
    const worker = this.#request++ % this.#copies.length;
    const copy = this.#copies[worker];
    if (copy && now - copy.at <= copyMs) return copy.guests;
    const fresh = { at: now, guests: new Map(this.#guests) };
    this.#copies[worker] = fresh;
    return fresh.guests;
  }
}

/** The time of a node's last round at or before `now`. */
export function lastRound(node: string, now: number): number {
  const phase = Math.floor(steadyFigure(`pvestatd ${node}`) * roundMs);
  return Math.floor((now - phase) / roundMs) * roundMs + phase;
}

/** As PVE::Service::pvestatd update_qemu_status and update_lxc_status put it together. */
function guestFields(guest: Guest, now: number): Record<string, string | number> {
  const usage = guestUsage(guest, now);
  const maxdisk = maxDiskBytes(guest);
  return {
    name: nameOf(guest),
    status: guest.run.qmpstatus === "stopped" ? "stopped" : guest.run.qmpstatus,
    template: isTemplate(guest) ? 1 : 0,
    uptime: usage.uptimeS,
    maxcpu: cpusOf(guest),
    cpu: usage.cpu,
    maxmem: memoryBytes(guest),
    mem: usage.memBytes,
    memhost: guest.type === "qemu" ? usage.memBytes : 0,
    maxdisk,
    disk: guest.type === "qemu" ? 0 : Math.floor(maxdisk * (usage.uptimeS ? 0.3 : 0)),
    netin: usage.netin,
    netout: usage.netout,
    diskread: usage.diskread,
    diskwrite: usage.diskwrite,
  };
}
