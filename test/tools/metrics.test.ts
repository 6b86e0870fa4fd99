import { beforeEach, describe, expect, test } from "vitest";
import { figures, gaps, points, type Sample } from "../../src/proxmox/cluster/metric-figures.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, type LabOptions, lab, tools } from "../kit.ts";
import { host } from "../simulator/host.ts";

const minute = 60_000;
let server: Lab;

beforeEach(() => start());

async function start(options: LabOptions = {}) {
  server = await lab({ tools, ...options });
}

const ask = (args: Record<string, unknown>) => server.call("get_metrics", args);

interface Figure {
  min: number;
  avg: number;
  p95: number;
  max: number;
  max_at: string;
  last: number;
  limit?: number;
  unit: string;
}

const figureOf = (data: Readonly<Record<string, unknown>>, name: string) =>
  (data["metrics"] as Record<string, Figure>)[name];

describe("get_metrics", () => {
  test("tells the use of a guest over the last hour, by name", async () => {
    const { data, text } = await ask({ guest: "web-1" });
    expect(data).toMatchObject({ vmid: 101, name: "web-1", type: "qemu", step_s: 60 });
    expect(Object.keys(data["metrics"] as object)).toEqual([
      "cpu",
      "memory",
      "disk_read",
      "disk_write",
      "net_in",
      "net_out",
    ]);
    const { min = 0, avg = 0, p95 = 0, max = 0, limit } = figureOf(data, "memory") ?? {};
    expect(limit).toBeGreaterThan(max);
    expect(min <= avg && avg <= p95 && p95 <= max && min > 0).toBe(true);
    const at = (data["points"] as { from: string; cpu: number }[]).map(({ from }) => from);
    expect(at).toHaveLength(12);
    expect([at[0], data["to"]]).toEqual(["2026-01-01T11:01:00.000Z", "2026-01-01T11:59:00.000Z"]);
    expect(text).toMatch(/^VM 101 \(web-1\) on pve1, 2026-01-01 11:01 to 2026-01-01 11:59 UTC/);
    expect(data).not.toHaveProperty("gaps");
  });

  test("tells that of nodes and storages", async () => {
    const node = await ask({ node: "pve2", timeframe: "day" });
    expect(node.data).toMatchObject({ node: "pve2" });
    expect(Object.keys(node.data["metrics"] as object)).toContain("load");
    expect(node.text).toMatch(/^Node pve2, /);
    const storage = await ask({ storage: "nfs-shared", timeframe: "week" });
    expect(storage.data).toMatchObject({ storage: "nfs-shared", step_s: 1800 });
    expect(figureOf(storage.data, "used")?.limit).toBeGreaterThan(0);
    expect(storage.text).toMatch(/^Storage nfs-shared on pve1, /);
    expect((await ask({ storage: "local", node: "pve3" })).data).toMatchObject({ node: "pve3" });
  });

  test.each([
    ["hour", 1],
    ["day", 1],
    ["week", 2],
    ["month", 2],
    ["year", 2],
  ])("asks for a %s in %d requests, and not again for a minute", async (timeframe, requests) => {
    await server.call("list_guests");
    expect(await server.cost("get_metrics", { guest: "web-1", timeframe })).toBe(requests);
    expect(await server.cost("get_metrics", { guest: "web-1", timeframe })).toBe(0);
    await server.clock.advance(61_000);
    await server.call("list_guests");
    expect(await server.cost("get_metrics", { guest: "web-1", timeframe })).toBe(requests);
  });

  test("knows the greatest minute also where values are averages of hours", async () => {
    const { data } = await ask({ guest: "web-1", timeframe: "year" });
    const cpu = figureOf(data, "cpu");
    expect(cpu?.max).toBeGreaterThan(cpu?.p95 ?? 1);
  });

  test("says since when there is nothing to tell of a guest that is off", async () => {
    await server.call("stop_guest", { guest: "web-1", mode: "stop" });
    await server.clock.advance(2 * minute);
    const { data, text } = await ask({ guest: "web-1" });
    expect(data["metrics"]).toEqual({});
    expect(text).toContain("nothing was recorded");
    expect(data["points"]).toEqual([]);
  });

  test("names the gap before a start", async () => {
    await server.call("stop_guest", { guest: "web-1", mode: "stop" });
    await server.call("start_guest", { guest: "web-1" });
    await server.clock.advance(20 * minute);
    const { data, text } = await ask({ guest: "web-1" });
    const [gap] = data["gaps"] as { from: string; to: string }[];
    expect(gap).toEqual({ from: data["from"], to: "2026-01-01T12:00:00.000Z" });
    expect(text).toContain("Nothing recorded from 2026-01-01 11:21 to 2026-01-01 12:00");
  });

  test("wants exactly one thing", async () => {
    for (const args of [
      {},
      { guest: "web-1", node: "pve1" },
      { guest: "web-1", storage: "local" },
    ]) {
      expect((await ask(args)).kind).toBe("invalid_input");
    }
    expect((await ask({ storage: "local" })).kind).toBe("ambiguous");
    expect((await ask({ guest: "nobody" })).kind).toBe("not_found");
    expect((await ask({ node: "pve9" })).kind).toBe("not_found");
    expect((await ask({ storage: "nope" })).kind).toBe("not_found");
    expect((await ask({ guest: "web-1", timeframe: "minute" })).kind).toBe("invalid_input");
  });

  test("names the privilege that is missing", async () => {
    const token = { tokenId: "blind@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    await start({ token, settleMs: 0 });
    const roles = { "/vms": "PVEVMUser", "/storage": "PVEDatastoreUser" };
    addToken(server.simulator.world, { id: token.tokenId, secret: token.secret, roles });
    await server.clock.advance(15_000);
    const answer = await ask({ node: "pve1" });
    expect(answer).toMatchObject({
      kind: "forbidden",
      facts: { path: "/nodes/pve1", privileges: ["Sys.Audit"] },
    });
    expect(answer.text).toContain("pveum acl modify /nodes/pve1 --tokens 'blind@pve!agent'");
  });
});

describe("the figures", () => {
  const metric = { name: "cpu", unit: "fraction", key: "cpu", limit: "maxcpu" } as const;
  const series = (values: readonly (number | undefined)[]): Sample[] =>
    values.map((cpu, index) => ({
      at: index * minute,
      values: { maxcpu: 4, ...(cpu !== undefined && { cpu }) },
    }));

  test("leave out what was not recorded", () => {
    const [found] = figures([metric], series([undefined, 0.5, 0.1, undefined, 0.3]));
    expect(found).toMatchObject({ min: 0.1, max: 0.5, maxAt: minute, last: 0.3, limit: 4 });
    expect(found?.avg).toBeCloseTo(0.3);
    expect(figures([metric], series([undefined]))).toEqual([]);
  });

  test("take the 95th of a hundred", () => {
    const [found] = figures([metric], series(Array.from({ length: 100 }, (_, one) => one + 1)));
    expect(found).toMatchObject({ p95: 95, max: 100 });
  });

  test("make twelve stretches at most, blank where nothing was", () => {
    expect(points([metric], series(Array.from({ length: 1439 }, () => 0.5)))).toHaveLength(12);
    expect(points([metric], series([undefined, 0.25])).map(({ values }) => values)).toEqual([
      [undefined],
      [0.25],
    ]);
  });

  test("tell gaps, but not what is not recorded yet", () => {
    const at = (from: number, to: number) => ({ from: from * minute, to: to * minute });
    const found = gaps(metric, series([undefined, undefined, 1, undefined, 1, 1, 1, undefined]));
    expect(found).toEqual([at(0, 1), at(3, 3)]);
    expect(gaps(metric, series([1, 1, 1, undefined, undefined]))).toEqual([]);
    expect(gaps(metric, series([1, 1, undefined, undefined, undefined]))).toEqual([at(2, 4)]);
  });
});

describe("a host's record", () => {
  test("is a value each step, oldest first, what is unknown left out", async () => {
    const pve = host();
    const { data } = await pve.get("/nodes/pve1/rrddata", { timeframe: "hour" });
    expect(data).toHaveLength(59);
    expect(Object.keys(data[0])).toEqual(expect.arrayContaining(["time", "cpu", "memused"]));
    expect(data.at(-1)).toEqual({ time: Math.floor(pve.clock.now() / minute) * 60 - 60 });
    const year = await pve.get("/nodes/pve1/qemu/101/rrddata", { timeframe: "year", cf: "MAX" });
    expect(year.data[1].time - year.data[0].time).toBe(21_600);
  });

  test("is not had of what is not there, nor for another time", async () => {
    const pve = host();
    const missing = await pve.get("/nodes/pve1/qemu/999/rrddata", { timeframe: "hour" });
    expect([missing.status, missing.reason]).toEqual([
      500,
      "RRD error: opening '/var/lib/rrdcached/db/pve-vm-9.0/999': No such file or directory",
    ]);
    const decade = await pve.get("/nodes/pve1/qemu/101/rrddata", { timeframe: "decade" });
    expect(decade.body?.["errors"]).toHaveProperty("timeframe");
    const bare = await pve.get("/nodes/pve1/rrddata");
    expect(bare.body?.["errors"]).toEqual({
      timeframe: "property is missing and it is not optional",
    });
  });

  test("knows memory as the host sees it only since version 9", async () => {
    for (const [version, known] of [
      ["8.4", false],
      ["9.1", true],
    ] as const) {
      const { data } = await host({ version }).get("/nodes/pve1/qemu/101/rrddata", {
        timeframe: "hour",
      });
      expect("memhost" in data[5]).toBe(known);
    }
  });
});
