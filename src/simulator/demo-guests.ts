import type { GuestPlan } from "./world-builder.ts";

const day = 86_400_000;

type Parts = Partial<GuestPlan>;

function guest(node: string, vmid: number, name: string, ...parts: readonly Parts[]): GuestPlan {
  return Object.assign({ node, vmid, name }, ...parts);
}

function address(last: number): string[] {
  return [`192.0.2.${last}/24`];
}

/** A guest with an agent inside, an address, and a will to go down. */
export function inside(last: number, shutdownMs = 5000): Parts {
  return { traits: { agent: true, addresses: address(last), shutdownMs } };
}

/** What customers see. */
export function webAndData(now: number): GuestPlan[] {
  const prod = { pool: "production", runningSince: now - 21 * day };
  const web = { ...prod, tags: "prod;web", cores: 2, memoryMib: 4096, diskGib: 20 };
  const db = { ...prod, tags: "db;prod", cores: 8, memoryMib: 32_768, diskGib: 200 };
  const mute = { traits: { addresses: address(131) } };
  const windows = { cores: 4, memoryMib: 16_384, diskGib: 120, config: { ostype: "win10" } };
  const stubborn = { traits: { shutdownMs: "never" as const } };
  return [
    guest("pve1", 101, "web-1", web, inside(101)),
    guest("pve2", 102, "web-2", web, inside(102)),
    guest("pve3", 103, "web-3", web, inside(103)),
    guest("pve2", 110, "web-10", web, inside(110)),
    guest("pve1", 120, "db-1", db, inside(120, 12_000), { config: { protection: "1" } }),
    guest("pve2", 121, "db-2", db, inside(121, 12_000)),
    guest("pve1", 130, "cache-1", prod, { tags: "cache;prod", memoryMib: 8192 }, inside(130)),
    guest("pve3", 131, "queue-1", prod, { tags: "prod;queue", memoryMib: 8192 }, mute),
    guest("pve3", 140, "legacy-erp", prod, { tags: "legacy;prod" }, windows, stubborn),
    guest("pve2", 141, "mail-1", prod, { tags: "mail;prod", memoryMib: 4096 }, inside(141)),
  ];
}

/** What keeps the place running. */
export function infrastructure(now: number): GuestPlan[] {
  const base = { type: "lxc", tags: "infra", runningSince: now - 30 * day } as const;
  const ct = (last: number) => ({ ...base, traits: { addresses: address(last) } });
  const onboot = { config: { onboot: "1" } };
  const build = { tags: "ci;dev", cores: 8, memoryMib: 16_384, diskGib: 80 };
  return [
    guest("pve1", 200, "dns-1", ct(53), onboot),
    guest("pve2", 201, "dns-2", ct(54), onboot),
    guest("pve1", 202, "proxy-1", ct(55), { memoryMib: 1024 }),
    guest("pve3", 203, "ntp-1", ct(56)),
    guest("pve3", 204, "metrics", ct(57), { cores: 4, memoryMib: 4096, diskGib: 64 }),
    guest("pve2", 205, "logs", ct(58), { cores: 2, memoryMib: 4096, diskGib: 100 }),
    guest("pve1", 210, "git", ct(60), { tags: "dev;infra", memoryMib: 2048, diskGib: 32 }),
    guest("pve3", 211, "build-1", build, { runningSince: now - 2 * day }, inside(61)),
    guest("pve3", 212, "build-2", build, { traits: { agent: true } }),
  ];
}

/** What may break; one name twice, a VM here and a container there. */
export function staging(now: number): GuestPlan[] {
  const base = { pool: "staging", tags: "staging;web", memoryMib: 2048, diskGib: 16 };
  const running = { ...base, runningSince: now - 3 * day };
  const db = { tags: "db;staging", memoryMib: 4096, diskGib: 40 };
  const ct = { type: "lxc", memoryMib: 512 } as const;
  return [
    guest("pve1", 301, "staging-web-1", running, { storage: "nfs-shared" }, inside(151)),
    guest("pve2", 302, "staging-web-2", base),
    guest("pve2", 303, "staging-db-1", running, db, inside(153)),
    guest("pve3", 304, "staging-cache", running, ct, { tags: "cache;staging" }),
    guest("pve1", 310, "sandbox", base, { tags: "staging" }),
    guest("pve3", 311, "sandbox", base, ct, { tags: "staging" }),
  ];
}
