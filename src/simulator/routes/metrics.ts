import { cpusOf, maxDiskBytes, memoryBytes } from "../guest-config.ts";
import { died } from "../refusal.ts";
import { type Call, needs, needsAny, type Route } from "../route.ts";
import { guestUsage, nodeUsages, StorageUsage } from "../usage.ts";
import { onNode } from "../volumes.ts";
import type { Guest, GuestType, Node } from "../world.ts";

type Fields = Readonly<Record<string, number>>;

/** Seconds between two values, and how far back they go in such steps (PVE::RRD create_rrd_data). */
const frames: Readonly<Record<string, readonly [stepS: number, count: number]>> = {
  hour: [60, 60],
  day: [60, 1440],
  week: [1800, 336],
  month: [1800, 1440],
  year: [21_600, 1440],
  decade: [604_800, 570],
};
/** How many moments stand for what happened in one step. */
const moments = 6;

/** PVE::API2::Nodes, Qemu, LXC and Storage::Status rrddata. All but a storage's are answered by any host. */
export function metricRoutes(): Route[] {
  const vm = { permission: needs("/vms/{vmid}", "VM.Audit"), local: true };
  const enough = needsAny("/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace");
  return [
    {
      method: "GET",
      path: "/nodes/{node}/rrddata",
      permission: needs("/nodes/{node}", "Sys.Audit"),
      local: true,
      parameters: parameters("decade"),
      handle: ofNode,
    },
    {
      method: "GET",
      path: "/nodes/{node}/qemu/{vmid}/rrddata",
      ...vm,
      parameters: parameters(),
      handle: (call) => ofGuest(call, "qemu"),
    },
    {
      method: "GET",
      path: "/nodes/{node}/lxc/{vmid}/rrddata",
      ...vm,
      parameters: parameters(),
      handle: (call) => ofGuest(call, "lxc"),
    },
    {
      method: "GET",
      path: "/nodes/{node}/storage/{storage}/rrddata",
      permission: enough,
      parameters: parameters(),
      handle: ofStorage,
    },
  ];
}

function parameters(...more: readonly string[]) {
  return {
    timeframe: { type: "string", enum: ["hour", "day", "week", "month", "year", ...more] },
    cf: { type: "string", optional: true, enum: ["AVERAGE", "MAX"] },
  } as const;
}

/** Oldest first; what was not recorded is not there, and the newest value is not yet. `at` answers undefined for nothing. */
function series({ cluster, values }: Call, at: (ms: number) => Fields | undefined): unknown[] {
  const [stepS, count] = frames[values["timeframe"] ?? ""] ?? [60, 60];
  const now = Math.floor(cluster.now / 1000 / stepS) * stepS;
  const times = Array.from({ length: count - 1 }, (_, index) => now - stepS * (count - 1 - index));
  return times.map((time, index) => {
    if (index === times.length - 1) return { time };
    const starts = stepS === 60 ? [0] : Array.from({ length: moments }, (_, one) => one / moments);
    const found = starts
      .map((part) => at((time + part * stepS) * 1000))
      .filter((fields) => fields !== undefined);
    return { time, ...consolidated(found, values["cf"] === "MAX") };
  });
}

function consolidated(found: readonly Fields[], greatest: boolean): Fields {
  const names = new Set(found.flatMap((fields) => Object.keys(fields)));
  const entries = [...names].map((name) => {
    const all = found.flatMap((fields) => fields[name] ?? []);
    const sum = all.reduce((total, value) => total + value, 0);
    return [name, greatest ? Math.max(...all) : sum / all.length] as const;
  });
  return Object.fromEntries(entries);
}

function rrdMissing(name: string): Error {
  return died(`RRD error: opening '/var/lib/rrdcached/db/${name}': No such file or directory`);
}

function ofGuest(call: Call, type: GuestType): unknown[] {
  const { cluster, values } = call;
  const guest = cluster.world.guests.get(Number(values["vmid"]));
  if (guest?.type !== type) throw rrdMissing(`pve-vm-9.0/${values["vmid"]}`);
  const online = cluster.world.nodes.get(guest.node)?.online ?? false;
  return series(call, (ms) => (online ? guestFields(guest, ms, cluster.version) : undefined));
}

/** While a guest is off only its limits are recorded; pressure and the host's view of memory are new in 9. */
function guestFields(guest: Guest, ms: number, version: string): Fields | undefined {
  if (ms < (guest.traits.bornAt ?? 0)) return undefined;
  const limits = {
    maxcpu: cpusOf(guest),
    maxmem: memoryBytes(guest),
    maxdisk: maxDiskBytes(guest),
    disk: guest.type === "lxc" ? Math.floor(maxDiskBytes(guest) * 0.3) : 0,
  };
  if (guest.run.status !== "running" || ms < guest.run.since) return limits;
  const [now, before] = [guestUsage(guest, ms), guestUsage(guest, ms - 60_000)];
  const rate = (name: "netin" | "netout" | "diskread" | "diskwrite") =>
    (now[name] - before[name]) / 60;
  const pressure = { pressurecpusome: 0, pressureiosome: 0, pressurememorysome: 0 };
  return {
    ...limits,
    cpu: now.cpu,
    mem: now.memBytes,
    netin: rate("netin"),
    netout: rate("netout"),
    diskread: rate("diskread"),
    diskwrite: rate("diskwrite"),
    ...(version === "8.4" ? {} : { memhost: now.memBytes, ...pressure }),
  };
}

function ofNode(call: Call): unknown[] {
  const { cluster, values } = call;
  const node = cluster.world.nodes.get(values["node"] ?? "");
  if (!node) throw rrdMissing(`pve-node-9.0/${values["node"]}`);
  return series(call, (ms) => (node.online ? nodeFields(call, node, ms) : undefined));
}

function nodeFields({ cluster }: Call, node: Node, ms: number): Fields | undefined {
  if (ms < node.bootedAt) return undefined;
  const usage = nodeUsages(cluster.world, [node], ms).get(node.name);
  if (!usage) return undefined;
  const guests = [...cluster.world.guests.values()].filter((guest) => guest.node === node.name);
  const traffic = guests.filter(({ run }) => run.status === "running").length * 20_000;
  return {
    loadavg: usage.cpu * node.cpus,
    maxcpu: node.cpus,
    cpu: usage.cpu,
    iowait: usage.cpu / 20,
    memtotal: node.memoryBytes,
    memused: usage.memBytes,
    swaptotal: 8 * 1024 ** 3,
    swapused: 0,
    roottotal: node.rootBytes,
    rootused: usage.rootBytes,
    netin: traffic * 3,
    netout: traffic,
    ...(cluster.version === "8.4" ? {} : { memavailable: node.memoryBytes - usage.memBytes }),
  };
}

function ofStorage(call: Call): unknown[] {
  const { cluster, values } = call;
  const node = values["node"] ?? "";
  const storage = cluster.world.storages.get(values["storage"] ?? "");
  if (!storage || !onNode(storage, node)) {
    throw rrdMissing(`pve-storage-9.0/${node}/${values["storage"]}`);
  }
  const used = new StorageUsage(cluster.world).of(storage, node);
  const silent = storage.disabled || storage.offline === true;
  return series(call, () => (silent ? undefined : { total: storage.totalBytes, used }));
}
