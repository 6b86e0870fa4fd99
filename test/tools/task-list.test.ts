import { beforeEach, describe, expect, test } from "vitest";
import { Call } from "../../src/proxmox/api/call.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, type LabOptions, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(() => start());

async function start(options: LabOptions = {}) {
  server = await lab({ tools, ...options });
}

interface Row {
  readonly upid: string;
  readonly node: string;
  readonly type: string;
  readonly state: string;
  readonly started: string;
}

async function tasks(args: Record<string, unknown> = {}) {
  const answer = await server.call("get_tasks", args);
  expect(answer.isError, answer.text).toBe(false);
  return { ...answer, rows: answer.data["tasks"] as Row[] };
}

/** Starts and stops it so often that the newest 25 tasks of its node are its own. */
async function busy(guest: string, times: number) {
  for (let n = 0; n < times; n++) {
    await server.call("start_guest", { guest });
    await server.call("stop_guest", { guest, mode: "stop" });
  }
}

describe("a list of tasks", () => {
  test("shows each UPID whole, so that the next call can name it", async () => {
    await busy("staging-web-2", 2);
    const { text, rows } = await tasks();
    expect(rows.length).toBeGreaterThan(3);
    const lines = text.split("\n");
    for (const [index, { upid, state, started }] of rows.entries()) {
      expect(lines[index]).toContain(upid);
      expect(lines[index]?.startsWith(`${state} ${started.slice(0, 19)}`)).toBe(true);
    }
    const one = await server.call("get_tasks", { upid: rows[0]?.upid, log_lines: 1 });
    expect(one.data["log"]).toHaveLength(1);
  });

  test("costs one request where the newest or the running ones are asked for", async () => {
    await busy("staging-web-2", 1);
    await server.clock.advance(15_000);
    await server.call("list_guests");
    expect(await server.cost("get_tasks")).toBe(1);
    await server.clock.advance(3_000);
    expect(await server.cost("get_tasks", { state: "running" })).toBe(1);
    await server.clock.advance(3_000);
    const online = [...server.simulator.world.nodes.values()].filter(({ online }) => online);
    expect(await server.cost("get_tasks", { state: "failed" })).toBe(online.length);
  });

  test("finds in the archive what is long past the newest", async () => {
    const failed = await server.call("stop_guest", { guest: "legacy-erp", wait_s: 120 });
    expect(failed.kind).toBe("task_failed");
    await busy("build-2", 15);
    const { rows } = await tasks({ state: "failed" });
    expect(rows.map(({ type, state }) => [type, state])).toEqual([["qmshutdown", "failed"]]);
    expect((await tasks({ guest: "legacy-erp" })).rows.map(({ upid }) => upid)).toEqual([
      failed.facts["upid"],
    ]);
  });

  test("is narrowed by guest, node, state and time, and says how many more there are", async () => {
    await busy("staging-web-2", 15);
    const { row } = await server.proxmox.lookup.guest("staging-web-2", "any", new Call());
    const own = await tasks({ guest: "staging-web-2" });
    expect(own.rows).toHaveLength(20);
    expect(own.data["left"]).toBe(10);
    expect(own.text).toContain("… and 10 older tasks");
    expect(own.rows.every(({ node }) => node === row.node)).toBe(true);
    await server.clock.advance(3_600_000);
    await busy("staging-web-2", 1);
    const since = await tasks({ since: "10m" });
    expect(since.rows.map(({ type }) => type).sort()).toEqual(["qmstart", "qmstop"]);
    expect((await server.call("get_tasks", { node: "pve9" })).kind).toBe("not_found");
    expect((await tasks({ state: "warnings", since: "2h" })).rows).toEqual([]);
    const begun = await server.call("clone_vm", {
      vm: "web-1",
      name: "slow-1",
      full: true,
      wait_s: 0,
    });
    const running = await tasks({ state: "running", node: "pve1" });
    expect(running.rows.map(({ upid }) => upid)).toEqual([begun.data["upid"]]);
    expect((await tasks({ state: "failed", node: "pve1" })).rows).toEqual([]);
  });

  test("misses nothing of the others when a node does not answer, and says which", async () => {
    await busy("staging-web-2", 1);
    server.simulator.faults.reply(unreachable, { path: /^\/nodes\/pve2\/tasks$/ });
    const { text, data } = await tasks({ since: "1d" });
    expect(data["degraded"]).toEqual([
      { node: "pve2", reason: expect.stringContaining("No route to host") },
    ]);
    expect(text).toMatch(/Node pve2: unreachable: .*; its tasks are not listed\./);
    server.simulator.faults.reply(unreachable, { path: /^\/nodes\/pve.\/tasks$/ });
    await server.clock.advance(15_000);
    expect((await server.call("get_tasks", { since: "1d" })).kind).toBe("unreachable");
  });

  test("has a token's own tasks, though the cluster's list hides them", async () => {
    const token = { tokenId: "op@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    await start({ token, settleMs: 0 });
    addToken(server.simulator.world, {
      id: token.tokenId,
      secret: token.secret,
      roles: { "/vms": "PVEVMAdmin" },
    });
    await server.clock.advance(15_000);
    await busy("staging-web-2", 1);
    const { rows } = await tasks();
    expect(rows.map(({ type }) => type)).toEqual(["qmstop", "qmstart"]);
  });
});

const unreachable = { status: 595, reason: "No route to host" };

test("a node that is offline is named, and no task of it called unknown", async () => {
  const server = await lab();
  await server.call("stop_guest", { guest: 102, mode: "stop" });
  server.simulator.outside.nodeDown("pve2");
  await server.clock.advance(60_000);
  for (const args of [{ guest: "102" }, { since: "1d" }, {}]) {
    const { text, data } = await server.call("get_tasks", { ...args, max_age_s: 0 });
    expect(data["degraded"]).toEqual([
      { node: "pve2", reason: "offline", last_seen: expect.any(String) },
    ]);
    expect(text).toMatch(/Node pve2: offline \(last seen .*\); its tasks are not listed\./);
  }
});
