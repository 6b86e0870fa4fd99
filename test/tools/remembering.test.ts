import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { adminToken } from "../../src/simulator/demo-credentials.ts";
import { addToken, largeWorld } from "../../src/simulator/world-builder.ts";
import { type Lab, lab } from "../kit.ts";

/** A cluster of this size, and an administrator. */
function large(nodes: number, guests: number): Promise<Lab> {
  const world = largeWorld(new VirtualClock().now(), { nodes, guests });
  const { tokenId: id, secret } = adminToken;
  addToken(world, { id, secret, roles: { "/": "Administrator" } });
  return lab({ world });
}

/** The ends of the paths that a call asks for. */
async function asked(server: Lab, name: string, args: Record<string, unknown>) {
  const mark = server.simulator.log.mark();
  await server.call(name, args);
  return server.simulator.log.paths(mark).map((path) => path.split("/").slice(-2).join("/"));
}

describe("get_vm again", () => {
  test("costs nothing, says that it is from memory, and how old", async () => {
    const server = await lab();
    const first = await server.call("get_vm", { vm: "web-1" });
    expect(first.meta).toMatchObject({ source: "live", apiCalls: 2, ageMs: 0 });
    await server.clock.advance(7_000);
    const second = await server.call("get_vm", { vm: "web-1" });
    expect(second.meta).toMatchObject({ source: "cache", apiCalls: 0, ageMs: 7_000 });
    expect(second.meta["observedAt"]).toBe(first.meta["observedAt"]);
    expect(second.data).toEqual(first.data);
    expect(second.text).toContain("as of 7 s ago");
  });

  test("after a sweep says that it was checked, and is as old as its fetch", async () => {
    const server = await lab();
    const first = await server.call("get_vm", { vm: "web-1" });
    await server.clock.advance(11_000);
    const second = await server.call("get_vm", { vm: "web-1" });
    expect(second.meta).toMatchObject({ source: "revalidated", ageMs: 11_000, checkedAgeMs: 0 });
    expect(second.meta["observedAt"]).toBe(first.meta["observedAt"]);
    await server.clock.advance(1_000);
    const third = await server.call("get_vm", { vm: "web-1" });
    expect(third.meta).toMatchObject({ source: "cache", apiCalls: 0 });
  });

  test("with another guest besides, whose configuration is fetched, is live", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "web-1" });
    await server.clock.advance(11_000);
    const other = await server.call("get_vm", { vm: "web-2" });
    expect(other.meta).toMatchObject({ source: "live", ageMs: 0 });
    expect((await server.call("get_vm", { vm: "web-1" })).meta).toMatchObject({ source: "cache" });
  });

  test("of a guest that was switched a moment ago asks for its state again after 5 s, and for nothing else", async () => {
    const server = await lab();
    await server.call("start_guest", { guest: "staging-web-2" });
    const vm = { vm: "staging-web-2" };
    expect((await asked(server, "get_vm", vm)).toSorted()).toEqual([
      "302/config",
      "status/current",
    ]);
    expect(await asked(server, "get_vm", vm)).toEqual([]);
    await server.clock.advance(5_001);
    expect(await asked(server, "get_vm", vm)).toEqual(["status/current"]);
  });
});

describe("list_guests", () => {
  test("whose rows a sweep has fetched for it is live, for those who have joined it too", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "web-1" });
    await server.clock.advance(11_000);
    const mark = server.simulator.log.mark();
    const [list, joined] = await server.clock.run(
      Promise.all([server.begin("list_guests"), server.begin("list_guests", { tag: "web" })]),
    );
    expect(
      server.simulator.log.count({ path: /^\/cluster\/(?:resources|log)$/, since: mark }),
    ).toBe(2);
    expect(list.meta).toMatchObject({ source: "live", ageMs: 0 });
    expect(joined.meta).toMatchObject({ source: "live", apiCalls: 0 });
    await server.clock.advance(3_000);
    const again = await server.call("list_guests");
    expect(again.meta).toMatchObject({ source: "cache", ageMs: 3_000, apiCalls: 0 });
  });
});

describe("fifty equal lookups at once", () => {
  test("whose one request fails are all told, and the next call asks again", async () => {
    const server = await lab();
    server.simulator.faults.reply(
      { status: 500, reason: "out of order" },
      { path: /^\/cluster\/resources$/, times: 1 },
    );
    const calls = Array.from({ length: 50 }, () => server.begin("get_vm", { vm: "web-1" }));
    const answers = await server.clock.run(Promise.all(calls));
    expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(["upstream"]));
    expect(answers.every(({ text }) => text.includes("out of order"))).toBe(true);
    expect(server.simulator.log.count()).toBe(1);
    expect((await server.call("get_vm", { vm: "web-1" })).data["vmid"]).toBe(101);
    expect(server.simulator.log.count()).toBe(3);
  });
});

describe("five hundred guests on five nodes", () => {
  test("are listed by one request, and filtered by none", async () => {
    const server = await large(5, 500);
    expect(await server.cost("list_guests", { limit: 500 })).toBe(1);
    const filters = [{ tag: "prod" }, { node: "node3" }, { status: "running" }, { type: "lxc" }];
    for (const filter of filters) expect(await server.cost("list_guests", filter)).toBe(0);
  });
});

describe("a hundred VMs watched for a minute", () => {
  test("by a list every second cost at most 14 requests, and nothing others do is missed", async () => {
    const server = await large(4, 100);
    const { clock, simulator, call } = server;
    const all = async () =>
      (await call("list_guests", { limit: 500 })).data["guests"] as {
        vmid: number;
        status: string;
      }[];
    const before = await all();
    const [gone, off] = before.filter(({ status }) => status === "running").map(({ vmid }) => vmid);
    let goneAfter = 0;
    let offAfter = 0;
    for (let second = 0; second < 60; second++) {
      if (second === 20) simulator.outside.destroy(gone ?? 0);
      if (second === 20) simulator.outside.powerOff(off ?? 0);
      await clock.advance(1_000);
      const now = await all();
      if (second < 20) continue;
      if (now.some(({ vmid }) => vmid === gone)) goneAfter = second - 19;
      if (now.find(({ vmid }) => vmid === off)?.status === "running") offAfter = second - 19;
    }
    expect(simulator.log.count()).toBeLessThanOrEqual(14);
    expect(goneAfter).toBeLessThanOrEqual(10);
    expect(offAfter).toBeLessThanOrEqual(20);
  });
});

describe("a VM that others renamed", () => {
  test("may still be read by its old name while that is trusted, and only by the new one afterwards", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "web-2" });
    server.simulator.outside.rename(102, "shop");
    const soon = await server.call("get_vm", { vm: "web-2" });
    expect(soon.data).toMatchObject({ vmid: 102, name: "web-2" });
    expect(soon.meta["ageMs"]).toBeLessThanOrEqual(10_000);
    await server.clock.advance(21_000);
    expect((await server.call("get_vm", { vm: "web-2" })).kind).toBe("not_found");
    expect((await server.call("get_vm", { vm: "shop" })).data["vmid"]).toBe(102);
  });

  test("is not changed by its old name, not even while that is trusted", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "staging-web-2" });
    server.simulator.outside.rename(302, "other");
    const answer = await server.call("start_guest", { guest: "staging-web-2" });
    expect(answer.kind).toBe("identity_changed");
    expect(server.simulator.log.changes()).toEqual([]);
  });
});

describe("a name that was missed", () => {
  test("is found at once when a guest of ours takes it", async () => {
    const server = await lab();
    for (let time = 0; time < 3; time++) {
      expect((await server.call("get_vm", { vm: "new-1" })).kind).toBe("not_found");
    }
    await server.call("clone_vm", { vm: "debian-13-template", name: "new-1" });
    expect((await server.call("get_vm", { vm: "new-1" })).data["name"]).toBe("new-1");
  });
});

describe("after a change of ours", () => {
  test.each<[string, Record<string, unknown>, number, string]>([
    ["start_guest", { guest: "staging-web-2" }, 302, "pve2"],
    ["stop_guest", { guest: "staging-web-1", mode: "stop" }, 301, "pve1"],
    ["stop_guest", { guest: "web-1", mode: "suspend" }, 101, "pve1"],
    ["create_snapshot", { guest: "staging-web-2", name: "before" }, 302, "pve2"],
    ["start_guest", { guest: "staging-web-2", wait_s: 0 }, 302, "pve2"],
  ])("%s %o: the guest is read live, and no other is", async (tool, args, vmid, node) => {
    const server = await lab();
    const others = ["web-2", "web-3", "db-1"];
    for (const vm of [vmid, ...others]) await server.call("get_vm", { vm });
    expect((await server.call(tool, args)).kind).toBe("");
    const mark = server.simulator.log.mark();
    const after = await server.call("get_vm", { vm: vmid });
    expect(server.simulator.log.paths(mark)).toContain(`GET /nodes/${node}/qemu/${vmid}/config`);
    expect(after.meta).toMatchObject({ source: "live" });
    const other = server.simulator.log.mark();
    for (const vm of others) await server.call("get_vm", { vm });
    const asks = server.simulator.log.paths(other).filter((path) => /\/config$/.test(path));
    expect(asks).toEqual([]);
  });
});

describe("the guest agent", () => {
  test.each([
    ["is off", "staging-web-2"],
    ["is not enabled", "legacy-erp"],
    ["does not answer", "queue-1"],
  ])("never fails get_vm: it %s", async (_, vm) => {
    const server = await lab();
    const { data, isError, text } = await server.call("get_vm", { vm, include: ["agent"] });
    expect(isError).toBe(false);
    expect(data["config"]).toBeDefined();
    const { agent } = data["details"] as { agent: { unavailable?: string } };
    expect(agent.unavailable).toMatch(/./);
    expect(text).toContain("agent: not available");
  });

  test("tells every address of a guest that has several", async () => {
    const server = await lab();
    server.simulator.world.guests.get(101)?.traits.addresses?.push("198.51.100.7/24");
    const { data } = await server.call("get_vm", { vm: "web-1", include: ["agent"] });
    expect(JSON.stringify(data["details"])).toContain("192.0.2.101/24");
    expect(JSON.stringify(data["details"])).toContain("198.51.100.7/24");
  });
});
