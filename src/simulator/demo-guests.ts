import type { GuestPlan } from "./world-builder.ts";

const day = 86_400_000;

/** A guest with an agent inside, an address, and a will to go down. */
export function inside(last: number, shutdownMs = 5000): NonNullable<GuestPlan["traits"]> {
  return { agent: true, addresses: [`192.0.2.${last}/24`], shutdownMs };
}

/** What customers see. */
export function webAndData(now: number): GuestPlan[] {
  const production = { pool: "production", runningSince: now - 21 * day };
  const web = { ...production, tags: "prod;web", cores: 2, memoryMib: 4096, diskGib: 20 };
  const db = { ...production, tags: "db;prod", cores: 8, memoryMib: 32_768, diskGib: 200 };
  return [
    { ...web, vmid: 101, name: "web-1", node: "pve1", traits: inside(101) },
    { ...web, vmid: 102, name: "web-2", node: "pve2", traits: inside(102) },
    { ...web, vmid: 103, name: "web-3", node: "pve3", traits: inside(103) },
    { ...web, vmid: 110, name: "web-10", node: "pve2", traits: inside(110) },
    {
      ...db,
      vmid: 120,
      name: "db-1",
      node: "pve1",
      traits: inside(120, 12_000),
      config: { protection: "1" },
    },
    { ...db, vmid: 121, name: "db-2", node: "pve2", traits: inside(121, 12_000) },
    {
      ...production,
      vmid: 130,
      name: "cache-1",
      node: "pve1",
      tags: "cache;prod",
      memoryMib: 8192,
      traits: inside(130),
    },
    {
      ...production,
      vmid: 131,
      name: "queue-1",
      node: "pve3",
      tags: "prod;queue",
      memoryMib: 8192,
      traits: { addresses: ["192.0.2.131/24"] },
    },
    {
      ...production,
      vmid: 140,
      name: "legacy-erp",
      node: "pve3",
      tags: "legacy;prod",
      cores: 4,
      memoryMib: 16_384,
      diskGib: 120,
      config: { ostype: "win10", onboot: "1" },
      traits: { shutdownMs: "never" },
    },
    {
      ...production,
      vmid: 141,
      name: "mail-1",
      node: "pve2",
      tags: "mail;prod",
      memoryMib: 4096,
      traits: inside(141),
    },
  ];
}

/** What keeps the place running. */
export function infrastructure(now: number): GuestPlan[] {
  const container = { type: "lxc", tags: "infra", runningSince: now - 30 * day } as const;
  const address = (last: number) => ({ addresses: [`192.0.2.${last}/24`] });
  return [
    {
      ...container,
      vmid: 200,
      name: "dns-1",
      node: "pve1",
      config: { onboot: "1" },
      traits: address(53),
    },
    {
      ...container,
      vmid: 201,
      name: "dns-2",
      node: "pve2",
      config: { onboot: "1" },
      traits: address(54),
    },
    {
      ...container,
      vmid: 202,
      name: "proxy-1",
      node: "pve1",
      memoryMib: 1024,
      traits: address(55),
    },
    { ...container, vmid: 203, name: "ntp-1", node: "pve3", traits: address(56) },
    {
      ...container,
      vmid: 204,
      name: "metrics",
      node: "pve3",
      cores: 4,
      memoryMib: 4096,
      diskGib: 64,
      traits: address(57),
    },
    {
      ...container,
      vmid: 205,
      name: "logs",
      node: "pve2",
      cores: 2,
      memoryMib: 4096,
      diskGib: 100,
      traits: address(58),
    },
    {
      ...container,
      vmid: 210,
      name: "git",
      node: "pve1",
      tags: "dev;infra",
      memoryMib: 2048,
      diskGib: 32,
      traits: address(60),
    },
    {
      vmid: 211,
      name: "build-1",
      node: "pve3",
      tags: "ci;dev",
      cores: 8,
      memoryMib: 16_384,
      diskGib: 80,
      runningSince: now - 2 * day,
      traits: inside(61),
    },
    {
      vmid: 212,
      name: "build-2",
      node: "pve3",
      tags: "ci;dev",
      cores: 8,
      memoryMib: 16_384,
      diskGib: 80,
      traits: { agent: true },
    },
  ];
}

/** What may break. */
export function staging(now: number): GuestPlan[] {
  const plan = { pool: "staging", tags: "staging;web", memoryMib: 2048, diskGib: 16 };
  return [
    {
      ...plan,
      vmid: 301,
      name: "staging-web-1",
      node: "pve1",
      storage: "nfs-shared",
      runningSince: now - 3 * day,
      traits: inside(151),
    },
    { ...plan, vmid: 302, name: "staging-web-2", node: "pve2" },
    {
      ...plan,
      vmid: 303,
      name: "staging-db-1",
      node: "pve2",
      tags: "db;staging",
      memoryMib: 4096,
      diskGib: 40,
      runningSince: now - 3 * day,
      traits: inside(153),
    },
    {
      ...plan,
      vmid: 304,
      name: "staging-cache",
      node: "pve3",
      type: "lxc",
      tags: "cache;staging",
      memoryMib: 512,
      runningSince: now - 3 * day,
    },
    // one name twice: a VM here and a container there
    { ...plan, vmid: 310, name: "sandbox", node: "pve1", tags: "staging" },
    {
      ...plan,
      vmid: 311,
      name: "sandbox",
      node: "pve3",
      type: "lxc",
      tags: "staging",
      memoryMib: 512,
    },
  ];
}
