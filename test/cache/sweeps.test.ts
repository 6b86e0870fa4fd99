import { describe, expect, test } from "vitest";
import { Call } from "../../src/proxmox/api/call.ts";
import { adminToken, authorization } from "../../src/simulator/demo-credentials.ts";
import { seededRandom } from "../../src/simulator/random.ts";
import { type Lab, lab } from "../kit.ts";

const rows = "GET /cluster/resources";
const log = "GET /cluster/log";
const config = (node: string, vmid: number) => `GET /nodes/${node}/qemu/${vmid}/config`;

/** What a lookup asks for, in order of names; what these credentials may see is asked once a minute and left out. */
async function asked({ simulator, call }: Lab, vm: number | string): Promise<readonly string[]> {
  const mark = simulator.log.mark();
  await call("get_vm", { vm });
  const paths = simulator.log.paths(mark).filter((path) => path !== "GET /access/permissions");
  return paths.toSorted();
}

describe("a sweep", () => {
  test("is one for all who wait for it, and one in ten seconds", async () => {
    const server = await lab();
    const vms = ["web-1", "web-2", "web-3", "db-1"];
    for (const vm of vms) await server.call("get_vm", { vm });
    await server.clock.advance(11_000);
    const mark = server.simulator.log.mark();
    await server.clock.run(
      Promise.all([...vms, ...vms].map((vm) => server.begin("get_vm", { vm }))),
    );
    const first = ["GET /access/permissions", log, rows];
    expect(server.simulator.log.paths(mark).toSorted()).toEqual(first);
    for (let second = 0; second < 9; second++) {
      await server.clock.advance(1_000);
      for (const vm of vms) await server.call("get_vm", { vm });
    }
    expect(server.simulator.log.since(mark)).toHaveLength(first.length);
  });

  test("is not made where nothing in memory could be vouched for: the rows alone are asked", async () => {
    const server = await lab();
    await server.call("list_guests");
    await server.clock.advance(11_000);
    const mark = server.simulator.log.mark();
    await server.call("list_guests");
    expect(server.simulator.log.paths(mark)).toEqual([rows]);
  });

  test("is never made of its own: an idle server sends nothing for an hour", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "web-1" });
    const mark = server.simulator.log.mark();
    await server.clock.advance(3_600_000);
    expect(server.simulator.log.since(mark)).toEqual([]);
  });

  test("vouches for the moment at which it began, not for that at which it ended", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "web-1" });
    await server.clock.advance(11_000);
    server.simulator.faults.delay(5_000, { path: /^\/cluster\/resources$/, times: 1 });
    const slow = server.begin("get_vm", { vm: "web-1" });
    await server.clock.advance(1_000);
    server.simulator.outside.setConfig(101, { cores: "7" });
    await server.clock.run(slow);
    // Rows are fresh again, so only the configuration's own age counts.
    await server.call("list_guests", { max_age_s: 0 });
    await server.clock.advance(5_500);
    const { data } = await server.call("get_vm", { vm: "web-1" });
    expect(data["config"]).toMatchObject({ cores: 7 });
  });

  test("that overtakes another vouches for nothing of which the other has heard", async () => {
    const { simulator, clock, begin, call } = await lab();
    await call("get_vm", { vm: "web-1" });
    simulator.outside.setConfig(101, { cores: "7" });
    await clock.advance(11_000);
    // The first sweep hears of the change at once, and waits long for its rows.
    simulator.faults.delay(20_000, { path: /^\/cluster\/resources$/, times: 1 });
    const slow = begin("get_vm", { vm: "web-1" });
    await clock.advance(11_000);
    const second = await call("get_vm", { vm: "web-1" });
    expect(second.data["config"]).toMatchObject({ cores: 7 });
    expect((await clock.run(slow)).data["config"]).toMatchObject({ cores: 7 });
  });

  test("whose news can't be had vouches for nothing: each answer asks for itself, and none fails", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "web-1" });
    server.simulator.faults.reply({ status: 500, reason: "broken" }, { path: /^\/cluster\/log$/ });
    server.simulator.outside.setConfig(101, { cores: "7" });
    await server.clock.advance(11_000);
    expect(await asked(server, 101)).toEqual([log, rows, config("pve1", 101)].toSorted());
    expect((await server.call("get_vm", { vm: 101 })).data["config"]).toMatchObject({ cores: 7 });
  });

  test("whose news hang keeps no one who wants rows waiting for longer than 5 s", async () => {
    const server = await lab();
    await asked(server, 101);
    await server.clock.advance(11_000);
    server.simulator.faults.hang({ path: /^\/cluster\/log$/ });
    const began = server.clock.now();
    const { kind } = await server.call("list_guests");
    expect(kind).toBe("");
    expect(server.clock.now() - began).toBeLessThanOrEqual(5_000);
    expect(await asked(server, 101)).toContain(config("pve1", 101));
  });

  test("keeps an answer for 120 s and no longer", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "web-1" });
    for (let round = 0; round < 10; round++) {
      await server.clock.advance(11_800);
      expect(await asked(server, 101)).toEqual([log, rows]);
    }
    await server.clock.advance(2_001);
    expect(await asked(server, 101)).toEqual([config("pve1", 101)]);
  });
});

describe("a new inventory is held against the one before", () => {
  const cases: [string, (server: Lab) => void, number?][] = [
    ["moved", ({ simulator }) => simulator.outside.migrate(102, "pve3")],
    ["locked", ({ simulator }) => simulator.outside.lock(102, "backup")],
    ["tagged", ({ simulator }) => simulator.outside.setConfig(102, { tags: "prod;other" })],
    ["in another pool", ({ simulator }) => simulator.world.pools.get("staging")?.vmids.add(102)],
    ["a template", ({ simulator }) => simulator.outside.setConfig(102, { template: "1" })],
    ["renamed", ({ simulator }) => simulator.outside.rename(102, "other")],
    ["stopped", ({ simulator }) => simulator.outside.powerOff(102)],
    ["started", ({ simulator }) => void simulator.outside.start(302), 302],
    [
      "started anew",
      ({ simulator }) => {
        simulator.outside.powerOff(102);
        simulator.outside.start(102);
      },
    ],
  ];

  test.each(cases)(
    "a guest that is %s is read again, and no other",
    async (_, change, vmid = 102) => {
      const server = await lab();
      // Only the rows tell.
      server.simulator.faults.reply(
        { status: 200, body: '{"data":[]}' },
        { path: /^\/cluster\/log$/ },
      );
      for (const vm of [101, vmid]) await server.call("get_vm", { vm });
      change(server);
      await server.clock.advance(11_000);
      await server.call("get_vm", { vm: 101 });
      expect(await asked(server, 101)).toEqual([]);
      const again = await asked(server, vmid);
      expect(again).toHaveLength(1);
      expect(again[0]).toContain(`/qemu/${vmid}/config`);
    },
  );

  test("also where a live question has brought it", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: 102 });
    server.simulator.outside.lock(102, "backup");
    await server.clock.advance(1_000);
    await server.call("list_guests", { max_age_s: 0 });
    expect(await asked(server, 102)).toEqual([config("pve2", 102)]);
  });

  test("and rows of an older copy, with shorter uptimes, cost no answer", async () => {
    const server = await lab({ workers: 3 });
    const { clock, call, proxmox, simulator } = server;
    const random = seededRandom(1);
    await call("get_vm", { vm: 101 });
    let backwards = 0;
    for (let uptime = 0, look = 0; look < 150; look++) {
      await clock.advance(50 + 500 * random());
      const inventory = await proxmox.lookup.liveInventory(new Call());
      const { uptimeS = 0 } = inventory.byVmid.get(101) ?? {};
      if (uptimeS < uptime) backwards++;
      uptime = uptimeS;
      await call("get_vm", { vm: 101, max_age_s: 100 });
    }
    expect(backwards).toBeGreaterThan(0);
    expect(simulator.log.count({ path: /\/config$/ })).toBe(1);
  });
});

describe("what others have cloned", () => {
  test("is found by its name with the next inventory, and its source is read again", async () => {
    const server = await lab();
    await server.call("get_vm", { vm: "debian-13-template" });
    await server.simulator.send({
      method: "POST",
      path: "/api2/json/nodes/pve1/qemu/9000/clone",
      headers: {
        authorization: authorization(adminToken),
        "content-type": "application/x-www-form-urlencoded",
      },
      body: "newid=777&name=copy-1",
    });
    await server.clock.advance(30_000);
    const mark = server.simulator.log.mark();
    expect((await server.call("get_vm", { vm: "copy-1" })).data).toMatchObject({ vmid: 777 });
    await server.call("get_vm", { vm: "debian-13-template" });
    const paths = server.simulator.log.paths(mark);
    expect(paths.filter((path) => path === rows)).toHaveLength(1);
    expect(paths).toContain(config("pve1", 9000));
  });
});
