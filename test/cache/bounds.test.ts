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
