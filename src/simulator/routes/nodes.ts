import { nodeFingerprint } from "../certificates.ts";
import { nodeRow } from "../resources.ts";
import { type Call, needs, type Route } from "../route.ts";
import { nodeUsages } from "../usage.ts";

/** PVE::API2::Nodes and PVE::API2. */
export function nodeRoutes(): Route[] {
  return [
    { method: "GET", path: "/version", handle: version },
    { method: "GET", path: "/nodes", handle: nodes },
    {
      method: "GET",
      path: "/nodes/{node}/status",
      permission: needs("/nodes/{node}", "Sys.Audit"),
      handle: status,
    },
    { method: "GET", path: "/nodes/{node}/version", handle: version },
  ];
}

const releases = {
  "8.4": { version: "8.4.1", repoid: "2a5fa54a8503f96d", kernel: "6.8.12-9-pve" },
  "9.1": { version: "9.1.4", repoid: "5ac30304265fbd8e", kernel: "6.17.2-1-pve" },
} as const;

/** GET /version: anybody who is logged in. */
function version({ cluster }: Call): unknown {
  const { version: number, repoid } = releases[cluster.version];
  return { version: number, release: cluster.version, repoid };
}

/** GET /nodes: as the rows of /cluster/resources, with the fingerprint of the certificate. */
function nodes({ cluster, access }: Call): unknown[] {
  return [...cluster.world.nodes.values()].map((node) => {
    const { "cgroup-mode": _, ...row } = nodeRow(cluster, access, node);
    return { ...row, ssl_fingerprint: nodeFingerprint(node.certificates) };
  });
}

/** GET /nodes/{node}/status: numbers, but loadavg and mhz are strings. */
function status({ cluster, values }: Call): unknown {
  const node = cluster.world.nodes.get(values["node"] ?? "");
  if (!node) return null;
  const usage = nodeUsages(cluster.world, [node], cluster.now).get(node.name);
  if (!usage) return null;
  const { version: number, repoid, kernel } = releases[cluster.version];
  const build = `#1 SMP PREEMPT_DYNAMIC PMX ${kernel}`;
  const load = usage.cpu * node.cpus;
  const { memoryBytes: total } = node;
  const root = { total: node.rootBytes, used: usage.rootBytes };
  const swap = { total: 8_589_930_496, used: 0, free: 8_589_930_496 };
  return {
    uptime: usage.uptimeS,
    idle: 0,
    wait: 0.0012,
    cpu: usage.cpu,
    loadavg: [load, load * 0.93, load * 0.88].map((value) => value.toFixed(2)),
    kversion: `Linux ${kernel} ${build}`,
    "current-kernel": { sysname: "Linux", release: kernel, version: build, machine: "x86_64" },
    "boot-info": { mode: "efi", secureboot: 0 },
    cpuinfo: cpuInfo(node.cpus),
    memory: {
      total,
      used: usage.memBytes,
      free: total - usage.memBytes - Math.floor(total * 0.02),
      available: total - usage.memBytes,
    },
    swap,
    ksm: { shared: 0 },
    rootfs: {
      ...root,
      free: root.total - root.used,
      avail: Math.floor((root.total - root.used) * 0.95),
    },
    pveversion: `pve-manager/${number}/${repoid}`,
  };
}

function cpuInfo(cpus: number): Record<string, unknown> {
  return {
    model: "AMD EPYC 9354 32-Core Processor",
    vendor: "AuthenticAMD",
    family: "25",
    sockets: 1,
    cores: cpus / 2,
    cpus,
    mhz: "3250.000",
    user_hz: 100,
    hvm: "1",
    flags: "fpu vme de pse tsc msr sse4_2 svm avx2",
  };
}
