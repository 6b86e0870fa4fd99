import { setMaxListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { crowd, vmids } from "../../bench/crowd.ts";
import { lab } from "../kit.ts";

const start = Date.UTC(2026, 0, 1, 12);

/** Counts, for each node and in all, how many requests the host has at the same time at most. */
async function counted(nodes: number, latencyMs = 200) {
  const now = new Map<string, number>();
  const most = new Map<string, number>();
  const step = (key: string, by: number) => {
    now.set(key, (now.get(key) ?? 0) + by);
    most.set(key, Math.max(most.get(key) ?? 0, now.get(key) ?? 0));
  };
  const made = await lab({
    world: crowd(start, { guests: 300, nodes }),
    latencyMs,
    wire: (simulator) => ({
      close: () => simulator.close(),
      send: async (request) => {
        const keys = ["all", /\/nodes\/([^/]+)/.exec(request.path)?.[1] ?? "cluster"];
        for (const key of keys) step(key, 1);
        try {
          return await simulator.send(request);
        } finally {
          for (const key of keys) step(key, -1);
        }
      },
    }),
  });
  await made.clock.run(made.begin("list_guests"));
  return { ...made, most, now };
}

/** One signal for many calls. */
function leaving(): AbortController {
  const leave = new AbortController();
  setMaxListeners(0, leave.signal);
  return leave;
}

const name = (vmid: number) => `app-${vmid}.example.net`;

describe("two hundred lookups at once", () => {
  test("of two hundred VMs on many nodes go eight at a time, and all are answered", async () => {
    const { begin, clock, most, simulator } = await counted(12);
    const asked = vmids(200).map((vmid) => begin("get_vm", { vm: name(vmid) }));
    const answers = await clock.run(Promise.all(asked));
    expect(answers.map(({ data }) => data["vmid"])).toEqual(vmids(200));
    expect(most.get("all")).toBe(8);
    expect(simulator.log.count()).toBe(201);
  });

  test("of VMs on one node go four at a time, and leave room for the others", async () => {
    const { begin, clock, most } = await counted(1);
    const asked = vmids(200).map((vmid) => begin("get_vm", { vm: name(vmid) }));
    const cluster = begin("get_connection_status", { max_age_s: 0 });
    await clock.advance(450);
    const done = await Promise.race([cluster, clock.advance(0)]);
    expect(done).toMatchObject({ kind: "" });
    await clock.run(Promise.all(asked));
    expect(most.get("pve-01")).toBe(4);
    expect(most.get("all")).toBeGreaterThan(4);
  });

  test("can be cancelled where they queue: what waits is never sent, and the next call is served", async () => {
    const { begin, call, clock, simulator, now } = await counted(12);
    const mark = simulator.log.mark();
    const leave = leaving();
    const outcomes = Promise.allSettled(
      vmids(200).map((vmid) => begin("get_vm", { vm: name(vmid) }, { signal: leave.signal })),
    );
    await clock.advance(100);
    expect(simulator.log.since(mark)).toHaveLength(8);
    leave.abort();
    const settled = await clock.run(outcomes);
    expect(settled.every(({ status }) => status === "rejected")).toBe(true);
    await clock.advance(60_000);
    expect(simulator.log.since(mark)).toHaveLength(8);
    expect(now.get("all")).toBe(0);
    expect((await call("get_vm", { vm: name(100) })).data["vmid"]).toBe(100);
  });

  test("of which some are cancelled: the others are answered", async () => {
    const { begin, clock } = await counted(12);
    const leave = leaving();
    const [left = [], stayed = []] = [0, 1].map((half) =>
      vmids(200).filter((vmid) => vmid % 2 === half),
    );
    const gone = left.map((vmid) =>
      begin("get_vm", { vm: name(vmid) }, { signal: leave.signal }).catch(() => "gone"),
    );
    const asked = stayed.map((vmid) => begin("get_vm", { vm: name(vmid) }));
    await clock.advance(100);
    leave.abort();
    const answers = await clock.run(Promise.all(asked));
    expect(answers.map(({ data }) => data["vmid"])).toEqual(stayed);
    expect(new Set(await Promise.all(gone))).toEqual(new Set(["gone"]));
  });
});

describe("lookups on many nodes", () => {
  test("go eight at a time where every node is slow: more would only burden the host", async () => {
    const { begin, clock, most } = await counted(12, 5_000);
    const answers = await clock.run(
      Promise.all(vmids(80).map((vmid) => begin("get_vm", { vm: name(vmid) }))),
    );
    expect(answers.every(({ data }) => data["config"] !== undefined)).toBe(true);
    expect(most.get("all")).toBe(8);
  });

  test("take no call that was cancelled for one that was answered", async () => {
    const { begin, clock, most } = await counted(12, 5_000);
    const [early, late] = [leaving(), leaving()];
    const calls = vmids(80).map((vmid, at) => {
      const signal = [undefined, early.signal, late.signal][at % 3];
      return begin("get_vm", { vm: name(vmid) }, signal && { signal });
    });
    const settled = Promise.allSettled(calls);
    await clock.advance(1_000);
    early.abort();
    await clock.advance(500);
    late.abort(); // some of these have begun half a second ago
    await clock.run(settled);
    expect(most.get("all")).toBe(8);
  });

  test.each([1, 2, 3])("wait for no other node, of which %i hang", async (hanging) => {
    const latencyMs = 50;
    const { begin, clock, most, simulator } = await counted(12, latencyMs);
    simulator.faults.hang({ path: new RegExp(`^/nodes/pve-0[1-${hanging}]/`) });
    const nodeOf = (vmid: number) => simulator.world.guests.get(vmid)?.node ?? "";
    const hangs = (vmid: number) => nodeOf(vmid) <= `pve-0${hanging}`;
    const ask = (vmid: number) => begin("get_vm", { vm: name(vmid) });
    const began = clock.now();
    // Who waits for the nodes that hang is there first.
    const silent = Promise.all(vmids(200).filter(hangs).map(ask));
    await clock.advance(1);
    const others = vmids(200).filter((vmid) => !hangs(vmid));
    const answers = await clock.run(Promise.all(others.map(ask)));
    expect(answers.every(({ data }) => data["config"] !== undefined)).toBe(true);
    // At worst they go one by one.
    const answeredAt = clock.now();
    expect(answeredAt - began).toBeLessThanOrEqual(1 + others.length * latencyMs);
    const late = await clock.run(silent);
    expect(late.every(({ data }) => typeof data["degraded"] === "string")).toBe(true);
    expect(clock.now() - answeredAt).toBeLessThanOrEqual(27_000);
    expect(most.get("all")).toBeLessThanOrEqual(12);
  });
});
