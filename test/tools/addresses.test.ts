import { beforeEach, describe, expect, test } from "vitest";
import { crowd } from "../../bench/crowd.ts";
import { stagingToken } from "../../src/simulator/demo-credentials.ts";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

interface Row {
  readonly vmid: number;
  readonly addresses?: readonly string[];
  readonly more_addresses?: number;
}

const rowsOf = (data: Readonly<Record<string, unknown>>) => data["guests"] as readonly Row[];

/** Looks, and answers with the vmids of those whose addresses were asked for. */
async function look(args: Record<string, unknown>) {
  const { simulator, call } = server;
  const mark = simulator.log.mark();
  const answer = await call("list_guests", args);
  const asked = simulator.log
    .paths(mark)
    .map((path) => /\/(\d+)\/(?:agent\/network-get-interfaces|interfaces)$/.exec(path)?.[1])
    .filter((vmid) => vmid !== undefined);
  return { ...answer, rows: rowsOf(answer.data), asked: asked.map(Number).toSorted() };
}

/** Of others, just now: rows in memory have them where they were. */
const moveAway = (...vmids: readonly number[]) => {
  for (const vmid of vmids) server.simulator.outside.migrate(vmid, "pve3");
};

describe("addresses of guests that have just moved", () => {
  test("are found on the new node, for one inventory and a request for each of them", async () => {
    moveAway(101, 200);
    const mark = server.simulator.log.mark();
    const { rows, data, text } = await look({ ip: "192.0.2.101" });
    expect(rows).toMatchObject([{ vmid: 101, node: "pve3", addresses: ["192.0.2.101"] }]);
    expect(JSON.stringify(data["unasked"] ?? {})).not.toContain("101");
    expect(text).not.toContain("not there any more");
    const paths = server.simulator.log.paths(mark);
    const again = paths.filter((path) => /pve3\/(?:qemu\/101|lxc\/200)\//.test(path));
    expect(again).toHaveLength(2);
    expect(paths.filter((path) => path === "GET /cluster/resources")).toHaveLength(1);
    expect(paths).toHaveLength(new Set(paths).size);
    // Only agents that do not answer are asked again.
    expect((await look({ ip: "192.0.2.101" })).asked).toEqual([131, 140, 150]);
  });

  test("stand in their rows, with the new node", async () => {
    moveAway(101);
    const { rows } = await look({ addresses: true, name: "web-1" });
    expect(rows).toMatchObject([{ vmid: 101, node: "pve3", addresses: ["192.0.2.101"] }]);
  });

  test("are not those of guests of the node that they have left", async () => {
    moveAway(101);
    expect((await look({ ip: "192.0.2.101", node: "pve1" })).rows).toEqual([]);
  });

  test("whose new node hangs, name that node", async () => {
    moveAway(101);
    server.simulator.faults.hang({ path: /^\/nodes\/pve3\/qemu\/101\// });
    const { data } = await look({ addresses: true, name: "web-1" });
    expect(data["degraded"]).toEqual([{ node: "pve3", reason: "does not answer" }]);
    expect(data["unasked"]).toEqual({ "its node does not answer": [101] });
  });

  test("are not those of who is gone; that is said only once the rows say so too", async () => {
    server.simulator.outside.destroy(101);
    const { data } = await look({ addresses: true, name: "web-1" });
    expect(data["unasked"]).toEqual({ "not there any more": [101] });
    server.simulator.outside.destroy(102);
    server.simulator.faults.reply(
      { status: 500, reason: "broken" },
      { path: /^\/cluster\/resources$/ },
    );
    const unsure = await look({ addresses: true, name: "web-2" });
    expect(unsure.data["unasked"]).toEqual({ "could not be asked": [102] });
  });
});

describe("addresses in a list", () => {
  test("are asked of those of its page that run, once for 30 s", async () => {
    const first = await look({ addresses: true, tag: "staging", limit: 2 });
    expect(first.rows).toHaveLength(2);
    expect(first.rows[0]).toMatchObject({ vmid: 301, addresses: ["192.0.2.151"] });
    expect(first.rows[1]).not.toHaveProperty("addresses"); // 302 is stopped
    expect(first.asked).toEqual([301]);
    expect(first.data).not.toHaveProperty("unasked");
    await server.clock.advance(9_000);
    expect((await look({ addresses: true, tag: "staging", limit: 2 })).asked).toEqual([]);
  });

  test("come without what they stand in place of, so that a page holds as many", async () => {
    const { text } = await look({ addresses: true, node: "pve1" });
    expect(text).toMatch(/vmid +name +type +node +status +addresses +tags/);
    expect(text).not.toContain("GiB");
  });

  test("asked twice at once are asked of Proxmox once", async () => {
    const { simulator, clock, begin } = server;
    const mark = simulator.log.mark();
    await clock.run(
      Promise.all([1, 2, 3].map(() => begin("list_guests", { addresses: true, node: "pve2" }))),
    );
    const paths = simulator.log.paths(mark);
    expect(new Set(paths).size).toBe(paths.length);
  });

  test("that can't be had leave their reason, and keep nobody from the rest", async () => {
    const { simulator } = server;
    simulator.faults.refuse({ path: /\/qemu\/110\/agent\// });
    simulator.outside.nodeDown("pve3");
    await server.clock.advance(11_000);
    const { rows, data, text, asked } = await look({ addresses: true, tag: "prod" });
    expect(data["unasked"]).toEqual({
      "no guest agent answers": [150],
      "its node does not answer": [110],
      "its node is silent": [103, 131, 140],
    });
    expect(text).toContain("Addresses not known of: ");
    expect(text).toContain("150 (no guest agent answers)");
    expect(rows.filter(({ addresses }) => addresses).map(({ vmid }) => vmid)).toEqual([
      101, 102, 120, 121, 130, 141,
    ]);
    expect(asked).not.toContain(103);
  });

  test("of a guest with dozens are four, and the number of the others", async () => {
    const addresses = Array.from({ length: 30 }, (_, at) => `198.51.100.${at}/24`);
    guestOf(server.simulator.world, 101).traits.addresses = ["2001:db8::1/64", ...addresses];
    const { rows, text } = await look({ addresses: true, name: "web-1" });
    expect(rows[0]).toMatchObject({
      addresses: ["198.51.100.0", "198.51.100.1", "198.51.100.2", "198.51.100.3"],
      more_addresses: 27,
    });
    expect(text).toContain("198.51.100.3 and 27 more");
  });
});

describe("a guest by its address", () => {
  test("is found among all that run, VMs and containers, and the next address costs nothing but those that told none", async () => {
    const { rows, asked } = await look({ ip: "192.0.2.53" });
    expect(rows).toMatchObject([{ vmid: 200, addresses: ["192.0.2.53"] }]);
    const running = [...server.simulator.world.guests.values()].filter(
      ({ run }) => run.status === "running",
    );
    // 160 has no name yet, and no state in its row.
    expect(asked).toEqual(
      running
        .map(({ vmid }) => vmid)
        .filter((vmid) => vmid !== 160)
        .toSorted(),
    );
    const next = await look({ ip: "192.0.2.102" });
    expect(next.rows).toMatchObject([{ vmid: 102 }]);
    // What could not be had is no knowledge: it is asked again.
    expect(next.asked).toEqual([131, 140, 150]);
  });

  test("in whatever spelling", async () => {
    guestOf(server.simulator.world, 101).traits.addresses = ["2001:db8::a/64"];
    const { rows } = await look({ ip: "2001:DB8:0:0::000A" });
    expect(rows).toMatchObject([{ vmid: 101 }]);
  });

  test("that nobody tells is not there; who could not be asked is named", async () => {
    const { data, text } = await look({ ip: "198.51.100.1", tag: "prod" });
    expect(data["total"]).toBe(0);
    expect(text).toMatch(/^No guest matches\./);
    expect(text).toContain("131, 140, 150 (no guest agent answers)");
  });

  test.each(["192.0.2", "192.0.2.1/24", "web-1", ""])("that is none: %j", async (ip) => {
    const { kind, text, asked } = await look({ ip });
    expect(kind).toBe("invalid_input");
    expect(text).toContain("192.0.2.10");
    expect(asked).toEqual([]);
  });

  test("is not looked for among thousands: the way to fewer is told", async () => {
    server = await lab({ world: crowd(Date.UTC(2026, 0, 1), { guests: 700, nodes: 5 }) });
    const all = await look({ ip: "192.0.2.1" });
    expect(all.kind).toBe("invalid_input");
    expect(all.text).toMatch(/[0-9]{3} do\. Narrow it to 500 with node, pool, tag or name/);
    expect(all.asked).toEqual([]);
    // Agents that do not answer take 3 s each: what has told nothing in 40 s is named, with what to do.
    const began = server.clock.now();
    const { asked, text } = await look({ ip: "192.0.2.1", node: "pve-01" });
    expect(asked.length).toBeGreaterThan(50);
    expect(server.clock.now() - began).toBe(40_000);
    expect(text).toMatch(/^No guest matches\./);
    expect(text).toMatch(
      /and [0-9]+ more \(not reached in time\)\. Ask for fewer: node, pool, tag or name narrow it\./,
    );
  });

  test("is no address of the guest's own, nor one of a zone", async () => {
    for (const ip of ["169.254.10.20", "fe80::1", "fe80::1%eth0", "127.0.0.1", "::1"]) {
      const { kind, asked } = await look({ ip });
      expect(kind).toBe("invalid_input");
      expect(asked).toEqual([]);
    }
    guestOf(server.simulator.world, 101).traits.addresses = ["2001:db8::1%7/64"];
    expect((await look({ ip: "192.0.2.53" })).rows).toMatchObject([{ vmid: 200 }]);
    expect((await look({ ip: "2001:db8::1" })).rows).toMatchObject([{ vmid: 101 }]);
  });

  test("asks nobody twice, also live", async () => {
    const mark = server.simulator.log.mark();
    await look({ ip: "192.0.2.53", max_age_s: 0 });
    const paths = server.simulator.log.paths(mark);
    expect(new Set(paths).size).toBe(paths.length);
  });

  test("names who may run behind a lagging row, and whose node is away or hangs", async () => {
    const { simulator, clock } = server;
    const plan = { vmid: 555, name: "fresh", node: "pve1", runningSince: clock.now() } as const;
    simulator.outside.create(plan);
    await clock.advance(1_000);
    const young = await look({ ip: "198.51.100.99", max_age_s: 0 });
    expect(JSON.stringify(young.data["unasked"])).toContain("555");
    simulator.outside.nodeDown("pve3");
    await clock.advance(400_000);
    simulator.faults.hang({ path: /^\/nodes\/pve2\// });
    const began = clock.now();
    const { data, text } = await look({ ip: "192.0.2.103" });
    expect(data["degraded"]).toMatchObject([
      { node: "pve3", reason: "offline" },
      { node: "pve2", reason: "does not answer" },
    ]);
    expect(JSON.stringify(data["unasked"])).toContain("103");
    expect(text).toContain("Node pve2: does not answer");
    expect(clock.now() - began).toBeLessThanOrEqual(30_000);
  });

  test("costs nothing more once the caller has gone", async () => {
    const { simulator, clock, begin } = server;
    const caller = new AbortController();
    simulator.faults.delay(1_000, { path: /interfaces$/ });
    const lost = begin("list_guests", { ip: "192.0.2.53" }, { signal: caller.signal });
    lost.catch(() => undefined);
    await clock.advance(500);
    caller.abort();
    await clock.advance(60_000);
    expect(simulator.log.count({ path: /interfaces$/ })).toBeLessThanOrEqual(8);
    expect((await look({ ip: "192.0.2.53" })).rows).toMatchObject([{ vmid: 200 }]);
  });

  test("is told to whoever may see it", async () => {
    server = await lab({ token: stagingToken });
    const { data } = await look({ ip: "192.0.2.151" });
    expect(data["total"]).toBe(1);
  });

  test("is asked for on a node that has not reported for minutes, which may answer all the same", async () => {
    server = await lab({
      wire: (host) => ({
        async send(request) {
          const reply = await host.send(request);
          if (!request.path.includes("/cluster/resources")) return reply;
          const { data } = JSON.parse(reply.body) as { data: { type: string; node: string }[] };
          const rows = data.map((row) =>
            row.type === "node" && row.node === "pve1" ? { ...row, status: "unknown" } : row,
          );
          return { ...reply, body: JSON.stringify({ data: rows }) };
        },
        close: () => host.close(),
      }),
    });
    expect((await look({ ip: "192.0.2.101" })).rows).toMatchObject([{ vmid: 101 }]);
  });
});
