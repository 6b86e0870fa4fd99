import { beforeEach, describe, expect, test } from "vitest";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, type LabOptions, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(() => start());

async function start(options: LabOptions = {}) {
  server = await lab({ tools, ...options });
}

async function cloning(): Promise<string> {
  const args = { vm: "web-1", name: "slow-1", full: true, wait_s: 0 };
  const { data } = await server.call("clone_vm", args);
  return String(data["upid"]);
}

function stop(upid: string, args: Record<string, unknown> = {}) {
  return server.act("stop_task", { upid, ...args });
}

describe("stop_task", () => {
  test("ends a task and says what is left half done", async () => {
    const upid = await cloning();
    const { data, text, sent } = await stop(upid);
    expect(sent.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `DELETE /nodes/pve1/tasks/${upid}`,
    ]);
    expect(data).toMatchObject({
      upid,
      type: "qmclone",
      changed: true,
      task: { state: "failed", exitstatus: expect.stringContaining("interrupt") },
    });
    expect(text).toContain("half made");
    const running = await server.call("get_tasks", { state: "running" });
    expect(running.data["tasks"]).toEqual([]);
  });

  test("sends nothing to a task that has ended", async () => {
    const { data: started } = await server.call("start_guest", { guest: "staging-web-2" });
    const { data, text, sent } = await stop(String(started["upid"]));
    expect(data).toMatchObject({ changed: false, task: { state: "ok", exitstatus: "OK" } });
    expect(text).toContain("had ended already (OK); nothing was sent");
    expect(sent).toEqual([]);
    const upid = await cloning();
    await stop(upid);
    expect((await stop(upid)).data["changed"]).toBe(false);
  });

  test("only says what it would send when asked to", async () => {
    const upid = await cloning();
    const { data, text, sent } = await stop(upid, { dry_run: true });
    expect(sent).toEqual([]);
    expect(data).toMatchObject({ changed: false, task: { state: "running" } });
    expect(data["plan"]).toMatchObject({ requests: [{ method: "DELETE", params: {} }] });
    expect(text).toContain("half made");
  });

  test("answers at once when it may not wait", async () => {
    const upid = await cloning();
    server.simulator.faults.delay(20_000, { path: /\/status$/ });
    expect((await stop(upid, { wait_s: 0 })).text).toContain(`get_tasks {upid: "${upid}"`);
  });

  test("says that it is unknown whether the task was told, and how to see", async () => {
    const upid = await cloning();
    server.simulator.faults.cutAfterWorld({ method: "DELETE" });
    const { kind, text, sent } = await stop(upid);
    expect(kind).toBe("outcome_unknown");
    expect(text).toContain(`get_tasks {upid: "${upid}"}`);
    expect(sent).toHaveLength(1);
  });

  test("what a stopped task leaves is read anew", async () => {
    const upid = await cloning();
    await server.call("list_guests");
    await stop(upid);
    const { data } = await server.call("list_guests", { name: "slow-1" });
    const there = [...server.simulator.world.guests.values()].some(
      ({ config }) => config["name"] === "slow-1",
    );
    expect(data["total"]).toBe(there ? 1 : 0);
  });

  test("refuses what is no task", async () => {
    expect((await stop("UPID:nonsense")).kind).toBe("invalid_input");
    const upid = (await cloning()).replace(/:[0-9A-F]{8}:/, ":0000FFFF:");
    expect((await stop(upid)).kind).toBe("not_found");
  });

  test("names the privilege for other people's tasks", async () => {
    const token = { tokenId: "op@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    await start({ token, settleMs: 0 });
    const roles = {
      "/vms": "PVEVMAdmin",
      "/nodes": "PVEAuditor",
      "/storage": "PVEDatastoreUser",
      "/sdn": "PVESDNUser",
    };
    addToken(server.simulator.world, { id: token.tokenId, secret: token.secret, roles });
    await server.clock.advance(15_000);
    const upid = server.simulator.outside.shutdown(140);
    const answer = await stop(upid);
    expect(answer).toMatchObject({
      kind: "forbidden",
      facts: { path: "/nodes/pve3", privileges: ["Sys.Modify"] },
    });
    expect(answer.text).toContain("pveum acl modify /nodes/pve3 --tokens 'op@pve!agent'");
    const own = await cloning();
    expect((await stop(own)).data["changed"]).toBe(true);
  });
});
