import { describe, expect, test } from "vitest";
import { crowd, guestsOnlyToken, vmids } from "../../bench/crowd.ts";
import { adminToken, auditorToken, authorization } from "../../src/simulator/demo-credentials.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

const start = Date.UTC(2026, 0, 1, 12);

async function cluster(guests: number, options: LabOptions = {}): Promise<Lab> {
  const world = crowd(start, { guests, nodes: guests > 1_000 ? 50 : 4 });
  const { tokenId: id, secret } = auditorToken;
  addToken(world, { id, secret, roles: { "/": "PVEAuditor" } });
  return lab({ world, ...options });
}

const name = (vmid: number) => `app-${vmid}.example.net`;

describe("one lookup", () => {
  test("by name costs two requests cold, none again, one for another VM", async () => {
    const { cost, clock } = await cluster(100);
    expect(await cost("get_vm", { vm: name(100) })).toBe(2);
    await clock.advance(10_000);
    expect(await cost("get_vm", { vm: name(100) })).toBe(0);
    expect(await cost("get_vm", { vm: name(101) })).toBe(1);
  });

  test.each([false, true])("live costs at most three, with all in memory: %s", async (warm) => {
    const { cost, call } = await cluster(100);
    if (warm) await call("get_vm", { vm: name(100) });
    expect(await cost("get_vm", { vm: name(100), max_age_s: 0 })).toBeLessThanOrEqual(3);
  });

  test("asked fifty times at once costs two", async () => {
    const { simulator, clock, begin } = await cluster(100, { latencyMs: 50 });
    const asked = Array.from({ length: 50 }, () => begin("get_vm", { vm: name(100) }));
    const answers = await clock.run(Promise.all(asked));
    expect(new Set(answers.map(({ data }) => data["vmid"]))).toEqual(new Set([100]));
    expect(simulator.log.count()).toBe(2);
  });

  test("of a name that is not there costs one request, then none ten times within 10 s", async () => {
    const { cost, call, clock } = await cluster(100);
    expect(await cost("get_vm", { vm: "nobody" })).toBe(1);
    for (let again = 0; again < 10; again++) {
      await clock.advance(990);
      expect(await cost("get_vm", { vm: "nobody" })).toBe(0);
    }
    expect((await call("get_vm", { vm: "nobody" })).kind).toBe("not_found");
  });
});

describe.each([100, 5_000])("a list of %i guests", (guests) => {
  test("costs one request, then none, filtered in any way", async () => {
    const { cost } = await cluster(guests);
    expect(await cost("list_guests")).toBe(1);
    for (const filter of [
      { name: "app-1*" },
      { tag: "web" },
      { pool: "customer-1" },
      { node: "pve-02" },
      { status: "stopped" },
      { type: "lxc" },
      { managed: true },
      { sort: "memory", limit: 100 },
    ]) {
      expect(await cost("list_guests", filter)).toBe(0);
    }
  });

  test("watched for a minute costs at most fourteen requests, with looks at one VM too", async () => {
    const { simulator, call, clock } = await cluster(guests);
    const watch = async (seconds: number) => {
      const mark = simulator.log.mark();
      for (let second = 0; second < seconds; second += 4) {
        await call("list_guests", { status: "running", sort: "cpu" });
        await clock.advance(4_000);
      }
      return simulator.log.since(mark).length;
    };
    expect(await watch(60)).toBeLessThanOrEqual(7);
    await call("get_vm", { vm: name(100) });
    expect(await watch(60)).toBeLessThanOrEqual(14);
  }, 60_000);
});

/** What another administrator does to a VM shortly before it is looked at. */
const tasks = {
  start: ({ simulator }: Lab, vmid: number) => simulator.outside.start(vmid),
  stop: ({ simulator }: Lab, vmid: number) => simulator.outside.stop(vmid),
  migrate: ({ simulator }: Lab, vmid: number) => simulator.outside.migrate(vmid, "pve-03"),
  snapshot: ({ simulator }: Lab, vmid: number) => simulator.outside.work(vmid, "snapshot", 500),
  edit: ({ simulator }: Lab, vmid: number) => simulator.outside.rename(vmid, name(vmid)),
};

interface Before {
  readonly task: keyof typeof tasks;
  /** How long before the first look the last of twenty of them has ended, in ms. */
  readonly endedMs: number;
}

/** Whether any task still runs, asked past the server. */
async function anyRuns({ simulator, clock }: Lab): Promise<boolean> {
  const headers = { authorization: authorization(adminToken) };
  const request = { method: "GET", path: "/api2/json/cluster/tasks", headers } as const;
  const reply = await clock.run(simulator.send(request));
  const { data } = JSON.parse(reply.body) as { data: readonly { status?: string }[] };
  return data.some(({ status }) => status === undefined);
}

/** Lets twenty VMs, all of which run or none, have a task each. */
async function busy(made: Lab, { task, endedMs }: Before): Promise<void> {
  const { simulator, clock } = made;
  const vms = vmids(20);
  const run = (vmid: number) => simulator.world.guests.get(vmid)?.run;
  if (task !== "stop") for (const vmid of vms) simulator.outside.stop(vmid);
  await clock.advance(30_000);
  for (const vmid of vms) tasks[task](made, vmid);
  while (await anyRuns(made)) await clock.advance(100);
  expect(vms.map((vmid) => run(vmid)?.status === "running")).toEqual(
    vms.map(() => task === "start"),
  );
  await clock.advance(endedMs);
}

/** A hundred looks at twenty VMs in a minute: what they cost. */
async function minute(token: LabOptions["token"], before: Before | undefined) {
  const made = await cluster(100, { ...(token && { token }) });
  const { simulator, clock, call } = made;
  const vms = vmids(20);
  if (before) await busy(made, before);
  const mark = simulator.log.mark();
  for (let asked = 0; asked < 100; asked++) {
    const answer = await call("get_vm", { vm: name(vms[asked % 20] ?? 0) });
    expect(answer.data["vmid"]).toBe(vms[asked % 20]);
    await clock.advance(600);
  }
  return { ...made, requests: simulator.log.since(mark).length };
}

describe.each([
  ["Sys.Syslog", adminToken, "log"],
  ["Sys.Audit", auditorToken, "tasks"],
  ["neither of them", guestsOnlyToken, "none"],
] as const)("a hundred lookups of twenty VMs in a minute, with %s", (_, token, news) => {
  test("cost at most 34 requests", async () => {
    const { requests, call } = await minute(token, undefined);
    expect(requests).toBeLessThanOrEqual(34);
    const status = await call("get_connection_status");
    expect(status.data["news"]).toBe(news);
    expect(status.text.includes("a configuration may be as old as it is kept")).toBe(
      news === "none",
    );
  });

  describe.each(["start", "stop", "migrate", "snapshot", "edit"] as const)(
    "after a %s of each",
    (task) => {
      test.each([15_000, 25_000])("that ended %i ms before, cost no more", async (endedMs) => {
        const { requests } = await minute(token, { task, endedMs });
        expect(requests).toBeLessThanOrEqual(34);
      });

      // What ended within 15 s before an answer is no old news yet, and rows lag as long: such a VM is read twice, and its state once.
      test.each([0, 5_000])(
        "that ended %i ms before, cost a read or two more for each VM",
        async (endedMs) => {
          const { requests } = await minute(token, { task, endedMs });
          expect(requests).toBeLessThanOrEqual(34 + (news === "none" ? 20 : 25));
        },
      );
    },
  );
});
