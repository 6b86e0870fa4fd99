import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

interface Row {
  readonly vmid: number;
  readonly name?: string;
  readonly node: string;
  readonly status: string;
}

const rowsOf = (data: Readonly<Record<string, unknown>>) => data["guests"] as readonly Row[];

describe("a node that is offline", () => {
  test("is named by list_guests, with the time when it was last seen; its guests are listed as last known", async () => {
    await server.call("list_guests", { limit: 100 });
    const seenAt = new Date(server.clock.now()).toISOString();
    await server.clock.advance(20_000);
    server.simulator.outside.nodeDown("pve3");
    const { data, text } = await server.call("list_guests", { limit: 100 });
    expect(data["total"]).toBe(server.simulator.world.guests.size);
    expect(data["degraded"]).toEqual([{ node: "pve3", reason: "offline", last_seen: seenAt }]);
    expect(text).toMatch(/pve3: offline; .* last known \(last seen 2026-/);
    const guest = rowsOf(data).find(({ vmid }) => vmid === 103);
    expect(guest).toMatchObject({ name: "web-3", node: "pve3", status: "running" });
  });

  test("keeps its guests' names when their rows have lost all else", async () => {
    await server.call("list_guests", { limit: 100 });
    server.simulator.outside.nodeDown("pve3");
    await server.call("list_guests", { limit: 100, max_age_s: 0 });
    await server.clock.advance(400_000);
    const { data } = await server.call("list_guests", { node: "pve3", name: "web-*" });
    expect(rowsOf(data)).toEqual([
      expect.objectContaining({ vmid: 103, name: "web-3", status: "unknown" }),
    ]);
  });

  test.each([{ status: "running" }, { name: "web-*" }, { status: "running", node: "pve3" }])(
    "is named though its guests no longer fit what is asked for: %o",
    async (filter) => {
      await server.call("list_guests");
      server.simulator.outside.nodeDown("pve3");
      await server.clock.advance(400_000);
      const { data, text } = await server.call("list_guests", filter);
      expect(data["degraded"]).toMatchObject([{ node: "pve3", reason: "offline" }]);
      expect(text).toContain("Node pve3: offline");
    },
  );

  test("is not named where none of its guests is listed, nor when it is back", async () => {
    server.simulator.outside.nodeDown("pve3");
    const { data } = await server.call("list_guests", { node: "pve1", limit: 100 });
    expect(data).not.toHaveProperty("degraded");
    server.simulator.outside.nodeUp("pve3");
    await server.clock.advance(20_000);
    const later = await server.call("list_guests", { node: "pve3", limit: 100 });
    expect(later.data["total"]).toBe(10);
    expect(later.data).not.toHaveProperty("degraded");
  });

  test("is named by every list, and fails none", async () => {
    await server.call("list_guests", { limit: 100 });
    const gone = { node: "pve3", reason: "offline", last_seen: expect.any(String) };
    server.simulator.outside.nodeDown("pve3");
    await server.clock.advance(11_000);
    const cluster = await server.call("get_cluster");
    expect(cluster.data["degraded"]).toMatchObject([{ node: "pve3", reason: "offline" }]);
    expect(cluster.data["nodes"]).toHaveLength(3);
    const certificates = await server.call("list_certificates", { limit: 100 });
    expect(certificates.data["degraded"]).toEqual([gone]);
    expect(certificates.text).toContain("pve3");
    const storages = await server.call("list_storage", { node: "pve3" });
    expect(storages.text).toMatch(/Node pve3: offline; .* its storages .* last known \(last seen/);
    for (const { data } of [storages, await server.call("list_storage")]) {
      expect(data["degraded"]).toEqual([gone]);
      expect(data).not.toHaveProperty("unavailable");
    }
    const content = await server.call("list_storage", { storage: "local" });
    expect(content.data["degraded"]).toEqual([{ ...gone, storages: ["local"] }]);
    expect(content.data).not.toHaveProperty("unavailable");
    expect(content.text).toMatch(/Node pve3: offline .*; not counted: what it has on local\./);
    const own = await server.call("list_storage", { guest: "web-3" });
    expect(own.data["degraded"]).toEqual([
      { ...gone, storages: expect.arrayContaining(["local", "local-lvm", "nfs-shared"]) },
    ]);
    const tasks = await server.call("get_tasks", { since: "1d" });
    expect(tasks.data["degraded"]).toEqual([gone]);
    const backups = await server.call("list_storage", { storage: "nfs-shared", content: "backup" });
    expect(backups.data["total"]).toBe(3);
  });
});

describe("a node that does not answer in time", () => {
  beforeEach(async () => {
    await server.call("list_guests", { limit: 100 });
    server.simulator.faults.hang({ path: /^\/nodes\/pve2\// });
  });

  test("costs list_guests nothing: it asks no node", async () => {
    await server.clock.advance(11_000);
    const { data } = await server.call("list_guests", { limit: 100 });
    expect(data["total"]).toBe(server.simulator.world.guests.size);
  });

  test("get_vm of a guest there answers from its row and says so", async () => {
    const { data, text } = await server.call("get_vm", { vm: "web-2" });
    expect(data).toMatchObject({ vmid: 102, name: "web-2", node: "pve2", status: "running" });
    expect(data["degraded"]).toContain("pve2");
    expect(text).toContain("pve2");
    server.simulator.faults.clear();
    const again = await server.call("get_vm", { vm: "web-2" });
    expect(again.data["config"]).toBeDefined();
  });

  test("is named by every list that asks it, and fails none", async () => {
    const cluster = await server.call("get_cluster");
    expect(cluster.data["degraded"]).toMatchObject([
      { node: "pve2", reason: expect.stringContaining("timeout") },
    ]);
    expect(cluster.data["nodes"]).toHaveLength(3);
    expect((cluster.data["attention"] as string[]).join()).toContain("pve2");
    const certificates = await server.call("list_certificates", { limit: 100 });
    expect(certificates.data["degraded"]).toMatchObject([{ node: "pve2" }]);
    const content = await server.call("list_storage", { storage: "local" });
    const mute = { node: "pve2", reason: expect.stringContaining("timeout") };
    expect(content.data["degraded"]).toEqual([{ ...mute, storages: ["local"] }]);
    expect(content.data).not.toHaveProperty("unavailable");
    const tasks = await server.call("get_tasks", { since: "1d" });
    expect(tasks.data["degraded"]).toEqual([mute]);
    expect(await server.call("list_storage")).not.toHaveProperty("data.degraded");
  });

  test("does not hold up the guests of other nodes, nor those of its own for longer than 25 s", async () => {
    // Two of three nodes hang, and all of their guests are asked for at once.
    server.simulator.faults.hang({ path: /^\/nodes\/pve3\// });
    const { guests } = server.simulator.world;
    const all = [...guests.values()].filter(({ type }) => type === "qemu");
    const slow = all.filter(({ node }) => node !== "pve1");
    const quick = all.filter(({ node }) => node === "pve1");
    expect(slow.length).toBeGreaterThan(8);
    const asked = server.clock.now();
    const waiting = slow.map(({ vmid }) => server.begin("get_vm", { vm: vmid }));
    await server.clock.advance(1);
    const answers = quick.map(({ vmid }) => server.begin("get_vm", { vm: vmid }));
    // The clock stands still: nobody waits for a deadline, not even for that of a slow request.
    const seen = await Promise.all(answers);
    expect(seen.map(({ data }) => data["vmid"])).toEqual(quick.map(({ vmid }) => vmid));
    const late = await server.clock.run(Promise.all(waiting));
    expect(late.every(({ data }) => typeof data["degraded"] === "string")).toBe(true);
    expect(server.clock.now() - asked).toBeLessThanOrEqual(27_000);
  });

  test("takes no more than four places however many ask, and is asked again once it answers", async () => {
    const { simulator, clock, begin } = server;
    const mark = simulator.log.mark();
    const vms = [...simulator.world.guests.values()].filter(
      ({ node, type }) => node === "pve2" && type === "qemu",
    );
    expect(vms.length).toBeGreaterThan(4);
    const waiting = vms.map(({ vmid }) => begin("get_vm", { vm: vmid }));
    await clock.advance(24_999);
    expect(simulator.log.since(mark)).toHaveLength(4);
    await clock.advance(1);
    await clock.run(Promise.all(waiting));
    expect(simulator.log.since(mark)).toHaveLength(4);
    simulator.faults.clear();
    for (const { vmid } of vms) {
      expect((await server.call("get_vm", { vm: vmid })).data["config"]).toBeDefined();
    }
  });

  test("where only one thing hangs and the rest is slow, the rest queues and is answered", async () => {
    const { simulator, clock, begin } = server;
    simulator.faults.clear();
    simulator.faults.hang({ path: /^\/nodes\/pve2\/qemu\/102\/config$/ });
    simulator.faults.delay(20_000, { path: /^\/nodes\/pve2\/qemu\/[0-9]+\/config$/ });
    const vms = [...simulator.world.guests.values()].filter(
      ({ node, type }) => node === "pve2" && type === "qemu",
    );
    expect(vms.length).toBeGreaterThan(7);
    const answers = await clock.run(
      Promise.all(vms.map(({ vmid }) => begin("get_vm", { vm: vmid }))),
    );
    // The last has waited for longer than any of them was asked.
    const rowOnly = answers.filter(({ data }) => data["config"] === undefined);
    expect(rowOnly.map(({ data }) => data["vmid"])).toEqual([102]);
  });
});
