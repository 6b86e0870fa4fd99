import { describe, expect, test } from "vitest";
import type { Lab } from "../kit.ts";
import { httpsLab } from "./https.ts";

const config = (node: string, vmid: number) => `GET /nodes/${node}/qemu/${vmid}/config`;
const rows = "GET /cluster/resources";

/** What a call asks PVE for, as the simulated host has logged it. */
async function asked(server: Lab, name: string, args: Record<string, unknown> = {}) {
  const mark = server.simulator.log.mark();
  const answer = await server.call(name, args);
  expect(answer.kind).toBe("");
  return server.simulator.log.paths(mark);
}

describe("get_vm over HTTPS", () => {
  test("by name costs two requests cold, none again, and one for another VM", async () => {
    const server = await httpsLab();
    expect(await asked(server, "get_vm", { vm: "web-1" })).toEqual([rows, config("pve1", 101)]);
    expect(await asked(server, "get_vm", { vm: "web-1" })).toEqual([]);
    expect(await asked(server, "get_vm", { vm: 101 })).toEqual([]);
    expect(await asked(server, "get_vm", { vm: "web-2" })).toEqual([config("pve2", 102)]);
  });

  test("fifty times at once costs two requests, and every answer is the same guest's", async () => {
    const server = await httpsLab();
    const calls = Array.from({ length: 50 }, () => server.begin("get_vm", { vm: "web-1" }));
    const answers = await server.clock.run(Promise.all(calls));
    expect(server.simulator.log.paths()).toEqual([rows, config("pve1", 101)]);
    expect(answers.map(({ data }) => data["vmid"])).toEqual(Array(50).fill(101));
  });

  test("of fifty VMs at once costs one request for the rows and one for each VM", async () => {
    const server = await httpsLab();
    const vms = ["web-1", "web-2", "web-3", "db-1", "db-2", "mail-1", "wiki", "build-1"];
    const calls = Array.from({ length: 48 }, (_, index) =>
      server.begin("get_vm", { vm: vms[index % vms.length] }),
    );
    await server.clock.run(Promise.all(calls));
    const paths = server.simulator.log.paths();
    expect(paths.filter((path) => path === rows)).toHaveLength(1);
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths).toHaveLength(1 + vms.length);
  });

  test("live costs at most three requests, also when all is in memory", async () => {
    const server = await httpsLab();
    const live = await asked(server, "get_vm", { vm: "web-1", max_age_s: 0 });
    expect(live).toHaveLength(3);
    await server.clock.advance(1);
    server.simulator.outside.setConfig(101, { cores: "7" });
    const mark = server.simulator.log.mark();
    const answer = await server.call("get_vm", { vm: "web-1", max_age_s: 0 });
    expect(server.simulator.log.since(mark).length).toBeLessThanOrEqual(3);
    expect(answer.data["config"]).toMatchObject({ cores: 7 });
    expect(answer.meta).toMatchObject({ source: "live" });
  });

  test("of a container's kind costs the same", async () => {
    const server = await httpsLab();
    const first = await asked(server, "get_container", { container: "dns-1" });
    expect(first).toEqual([rows, "GET /nodes/pve1/lxc/200/config"]);
    expect(await asked(server, "get_container", { container: "dns-1" })).toEqual([]);
  });

  test("is trusted for ten seconds and not longer", async () => {
    const server = await httpsLab();
    await asked(server, "get_vm", { vm: "web-1" });
    server.simulator.outside.setConfig(101, { cores: "7" });
    await server.clock.advance(9_999);
    expect(await asked(server, "get_vm", { vm: "web-1" })).toEqual([]);
    await server.clock.advance(2);
    const mark = server.simulator.log.mark();
    const answer = await server.call("get_vm", { vm: "web-1" });
    expect(answer.data["config"]).toMatchObject({ cores: 7 });
    // The sweep (rows and what happened; what we may see is asked once a minute) and what it found changed.
    expect(server.simulator.log.paths(mark).toSorted()).toEqual([
      "GET /access/permissions",
      "GET /cluster/log",
      rows,
      "GET /nodes/pve1/qemu/101/config",
    ]);
  });
});

describe("a name that is not there, over HTTPS", () => {
  test("costs one request, then none, ten times within ten seconds", async () => {
    const server = await httpsLab();
    const first = await server.call("get_vm", { vm: "web-9" });
    expect(first.kind).toBe("not_found");
    expect(first.text).toContain("web-1");
    expect(server.simulator.log.paths()).toEqual([rows]);
    for (let again = 0; again < 10; again++) {
      await server.clock.advance(900);
      expect((await server.call("get_vm", { vm: "web-9" })).kind).toBe("not_found");
    }
    expect(server.simulator.log.count()).toBe(1);
  });

  test("is found as soon as the rows may be asked again", async () => {
    const server = await httpsLab();
    await server.call("get_vm", { vm: "web-9" });
    server.simulator.outside.create({ vmid: 109, name: "web-9", node: "pve1" });
    await server.clock.advance(10_001);
    expect((await server.call("get_vm", { vm: "web-9" })).data).toMatchObject({ vmid: 109 });
  });

  test("asks again for another unknown name at most every two seconds", async () => {
    const server = await httpsLab();
    for (const vm of ["nope-1", "nope-2", "nope-3", "nope-4"]) await server.call("get_vm", { vm });
    expect(server.simulator.log.count()).toBe(1);
    await server.clock.advance(2_100);
    await server.call("get_vm", { vm: "nope-5" });
    await server.call("get_vm", { vm: "nope-6" });
    expect(server.simulator.log.count()).toBe(2);
  });
});

describe("list_guests over HTTPS", () => {
  test.each<[string, Record<string, unknown>, number]>([
    ["name", { name: "web-*" }, 4],
    ["tag", { tag: "db" }, 3],
    ["pool", { pool: "staging" }, 6],
    ["node", { node: "pve3", limit: 100 }, 10],
    ["status", { status: "stopped", tag: "staging", name: "sandbox" }, 2],
    ["type", { type: "lxc", limit: 100 }, 10],
    ["managed", { managed: true }, 0],
    ["sort", { sort: "memory", limit: 3 }, 31],
  ])("filtered by %s costs one request, then none", async (_, args, total) => {
    const server = await httpsLab();
    const first = await server.call("list_guests", args);
    expect(server.simulator.log.paths()).toEqual([rows]);
    expect(first.data["total"]).toBe(total);
    await server.call("list_guests", args);
    await server.call("list_guests");
    expect(server.simulator.log.paths()).toEqual([rows]);
  });

  test("page by page shows every guest once, and costs one request in all", async () => {
    const server = await httpsLab();
    const seen: number[] = [];
    let cursor: unknown;
    do {
      const { data } = await server.call("list_guests", {
        limit: 7,
        ...(cursor ? { cursor } : {}),
      });
      seen.push(...(data["guests"] as { vmid: number }[]).map(({ vmid }) => vmid));
      cursor = data["cursor"];
    } while (cursor);
    expect(seen).toEqual([...server.simulator.world.guests.keys()].sort((a, b) => a - b));
    expect(server.simulator.log.paths()).toEqual([rows]);
  });

  test("and the lookups after it share the rows", async () => {
    const server = await httpsLab();
    await server.call("list_guests");
    expect(await asked(server, "get_vm", { vm: "web-1" })).toEqual([config("pve1", 101)]);
  });
});

describe("the cluster at a glance over HTTPS", () => {
  test("get_cluster costs four requests and one for each node online, then few", async () => {
    const server = await httpsLab();
    const first = await asked(server, "get_cluster");
    expect(first.toSorted()).toEqual([
      "GET /cluster/ha/status/current",
      rows,
      "GET /cluster/status",
      "GET /cluster/tasks",
      "GET /nodes/pve1/version",
      "GET /nodes/pve2/version",
      "GET /nodes/pve3/version",
    ]);
    expect(await asked(server, "get_cluster")).toEqual([]);
    await server.clock.advance(4_000);
    expect((await asked(server, "get_cluster")).length).toBeLessThanOrEqual(1);
    await server.clock.advance(60_000);
    expect((await asked(server, "get_cluster")).length).toBeLessThanOrEqual(4);
  });

  test("get_cluster does not ask a node that is down", async () => {
    const server = await httpsLab();
    server.simulator.outside.nodeDown("pve3");
    const paths = await asked(server, "get_cluster");
    expect(paths).toHaveLength(6);
    expect(paths).not.toContain("GET /nodes/pve3/version");
  });

  test("get_node costs two requests", async () => {
    const server = await httpsLab();
    expect(await asked(server, "get_node", { node: "pve2" })).toEqual([
      rows,
      "GET /nodes/pve2/status",
    ]);
    expect(await asked(server, "get_node", { node: "pve2" })).toEqual([]);
  });
});
