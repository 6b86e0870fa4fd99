import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CacheEvent } from "../../src/cache/reading.ts";
import { templateOf } from "../../src/http/path.ts";
import { type Lab, lab } from "../kit.ts";

let server: Lab;
let events: CacheEvent[] = [];

const hear = (event: unknown) => void events.push(event as CacheEvent);

beforeEach(async () => {
  events = [];
  server = await lab();
  subscribe("mcp-server-proxmox:cache", hear);
});

afterEach(() => unsubscribe("mcp-server-proxmox:cache", hear));

const heard = (type: CacheEvent["type"]) => events.filter((event) => event.type === type);
/** A configuration that is overtaken by a change, a sweep, a failure, and calls at once. */
async function useEverything(): Promise<void> {
  const { call, begin, clock, simulator } = server;
  await clock.run(Promise.all([1, 2, 3].map(() => begin("get_vm", { vm: "web-1" }))));
  await call("get_vm", { vm: "web-1" });
  await clock.advance(11_000);
  await call("get_vm", { vm: "web-1" });
  simulator.faults.delay(3_000, { path: /302\/snapshot$/, times: 1 });
  const overtaken = begin("get_vm", { vm: "staging-web-2", include: ["snapshots"] });
  await clock.advance(100);
  await call("start_guest", { guest: "staging-web-2" });
  await clock.run(overtaken);
  simulator.faults.reply({ status: 500, reason: "broken" }, { path: /103\/config$/, times: 1 });
  await call("get_vm", { vm: "web-3" });
}

describe("what happens in the cache is told on the channel mcp-server-proxmox:cache", () => {
  test("hit, miss, join, revalidate, invalidate, failed and late, with key or tags", async () => {
    await useEverything();
    for (const type of ["hit", "miss", "join", "revalidate", "late", "failed"] as const) {
      expect(heard(type).length, type).toBeGreaterThan(0);
      expect(heard(type).every(({ key }) => typeof key === "string")).toBe(true);
    }
    expect(heard("invalidate").flatMap(({ tags = [] }) => tags)).toContain("guest:qemu/302");
    expect(heard("late").map(({ key }) => key)).toEqual(["/nodes/pve2/qemu/302/snapshot"]);
    expect(heard("revalidate").map(({ key }) => key)).toEqual(["/nodes/pve1/qemu/101/config"]);
  });

  test("and the counters of get_connection_status count the same", async () => {
    await useEverything();
    const { data } = await server.call("get_connection_status");
    expect(data["cache"]).toMatchObject({
      hits: heard("hit").length,
      misses: heard("miss").length,
      joined: heard("join").length,
      revalidated: heard("revalidate").length,
      lateFillsDropped: heard("late").length,
      failed: heard("failed").length,
      invalidated: heard("invalidate").flatMap(({ tags = [] }) => tags).length,
      evicted: 0,
    });
  });

  test("what had to make room is told by its key, and counted", async () => {
    const tiny = await lab({ cacheBytes: 20_000 });
    await tiny.call("list_guests");
    for (const vmid of tiny.simulator.world.guests.keys()) await tiny.call("get_vm", { vm: vmid });
    expect(heard("evict").length).toBeGreaterThan(0);
    expect(heard("evict").every(({ key }) => key !== undefined)).toBe(true);
    const { data } = await tiny.call("get_connection_status");
    expect(data["cache"]).toMatchObject({ evicted: heard("evict").length });
    expect((data["cache"] as { bytes: number }).bytes).toBeLessThanOrEqual(20_000);
    await tiny.close();
  });
});

describe("requests as get_connection_status counts them", () => {
  test("are those that the host has logged, by method and kind of path", async () => {
    const { call, clock, simulator } = server;
    await call("list_guests");
    for (const vm of ["web-1", "web-2", "web-1"]) await call("get_vm", { vm });
    await clock.advance(11_000);
    await call("get_vm", { vm: "web-1", include: ["agent", "snapshots"] });
    await call("list_storage", { storage: "local" });
    await call("list_certificates");
    await call("start_guest", { guest: "staging-web-2" });
    const { data } = await call("get_connection_status");
    const logged: Record<string, number> = {};
    for (const { method, path } of simulator.log.since(0)) {
      const kind = `${method} ${templateOf(path as never)}`;
      logged[kind] = (logged[kind] ?? 0) + 1;
    }
    expect(data["requests"]).toEqual(logged);
  });

  test("are as many as misses, where all is looked up and nothing fails", async () => {
    const { call, clock, simulator } = server;
    for (let second = 0; second < 60; second++) {
      await call("get_vm", { vm: 101 + (second % 3) });
      if (second % 7 === 0) await call("list_guests");
      await clock.advance(1_000);
    }
    const { data } = await call("get_connection_status");
    const { misses } = data["cache"] as { misses: number };
    // A sweep is a miss of its own, and no request.
    const sweeps = heard("miss").filter(({ key }) => key === "sweep").length;
    expect(sweeps).toBeGreaterThan(0);
    expect(misses - sweeps).toBe(simulator.log.count());
  });
});
