import { adminToken } from "../src/simulator/demo-credentials.ts";
import type { World } from "../src/simulator/world.ts";
import { addGuest, addPool, addToken, emptyWorld } from "../src/simulator/world-builder.ts";

/** May look at every guest, and has neither Sys.Audit nor Sys.Syslog on / */
export const guestsOnlyToken = {
  tokenId: "guests@pve!agent",
  secret: "55555555-eeee-4eee-8eee-000000000005",
};

/** A cluster of this size; every fifth guest a container, every eleventh stopped. VMs and containers are called `app-…` and `ct-…` by their vmids. */
export function crowd(now: number, { guests, nodes }: { guests: number; nodes: number }): World {
  const names = Array.from({ length: nodes }, (_, at) => `pve-${String(at + 1).padStart(2, "0")}`);
  const world = emptyWorld(now, names);
  for (let index = 0; index < 8; index++) addPool(world, `customer-${index}`);
  for (let index = 0; index < guests; index++) {
    const vmid = 100 + index;
    const container = index % 5 === 4;
    addGuest(world, {
      vmid,
      name: `${container ? "ct" : "app"}-${vmid}.example.net`,
      node: names[index % nodes] ?? "",
      type: container ? "lxc" : "qemu",
      tags: "backup-daily;production;web",
      pool: `customer-${index % 8}`,
      ...(index % 11 === 10 ? {} : { runningSince: now - (index + 1) * 3_600_000 }),
    });
  }
  const token = ({ tokenId: id, secret }: typeof guestsOnlyToken, role: string) =>
    addToken(world, { id, secret, roles: { "/": role } });
  token(adminToken, "Administrator");
  token(guestsOnlyToken, "PVEVMUser");
  return world;
}

/** The vmids of its first VMs. */
export function vmids(count: number): readonly number[] {
  return Array.from({ length: Math.ceil(count * 1.25) }, (_, index) => 100 + index)
    .filter((vmid) => (vmid - 100) % 5 !== 4)
    .slice(0, count);
}
