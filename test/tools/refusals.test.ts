import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests", { limit: 100 });
});

const unsent = () => expect(server.simulator.log.changes()).toEqual([]);

describe("a locked guest", () => {
  test.each<[string, Record<string, unknown>]>([
    ["stop_guest", { guest: "files-1" }],
    ["stop_guest", { guest: "files-1", mode: "suspend" }],
    ["delete_guest", { guest: "files-1", confirm: "files-1" }],
    ["clone_vm", { vm: "files-1", name: "copy" }],
  ])("%s %o: locked, nothing sent, and what to do", async (tool, args) => {
    const answer = await server.call(tool, args);
    expect(answer.kind).toBe("locked");
    expect(answer.text).toContain("backup");
    expect(answer.text).toContain("get_tasks");
    expect(answer.text).toContain("qm unlock 150");
    expect(answer.facts).toMatchObject({ vmid: 150, node: "pve2", lock: "backup" });
    unsent();
  });

  test("start_guest of a stopped one: locked, nothing sent", async () => {
    server.simulator.outside.lock(302, "migrate");
    const answer = await server.call("start_guest", { guest: "staging-web-2" });
    expect(answer.kind).toBe("locked");
    unsent();
  });

  test("start_guest of one that runs: nothing to do, so nothing is in the way", async () => {
    const answer = await server.call("start_guest", { guest: "files-1" });
    expect(answer.data).toMatchObject({ changed: false, status: "running" });
    unsent();
  });

  test("a container is unlocked with pct", async () => {
    server.simulator.outside.lock(202, "snapshot");
    const answer = await server.call("stop_guest", { guest: "proxy-1" });
    expect(answer.text).toContain("pct unlock 202");
    unsent();
  });
});

describe("a guest that may not go", () => {
  test("a protected one: conflict, nothing sent", async () => {
    server.simulator.outside.powerOff(120);
    const answer = await server.call("delete_guest", { guest: "db-1", confirm: "db-1" });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("protect");
    unsent();
  });

  test("one that HA manages: refused without purge, gone with it", async () => {
    server.simulator.outside.powerOff(152);
    const args = { guest: "gateway-1", confirm: "gateway-1" };
    const refused = await server.call("delete_guest", args);
    expect(refused.kind).toBe("conflict");
    expect(refused.text).toContain("purge: true");
    unsent();
    const done = await server.call("delete_guest", { ...args, purge: true });
    expect(done.data).toMatchObject({ vmid: 152, status: "deleted" });
    expect(server.simulator.world.ha.size).toBe(0);
    expect(server.simulator.log.changes()[0]?.query).toEqual({ purge: "1" });
  });

  test("the backup jobs that still name it are told", async () => {
    server.simulator.world.backupJobs.push({
      id: "backup-212",
      vmids: [212],
      all: false,
      schedule: "03:00",
      storage: "nfs-shared",
      enabled: true,
    });
    const question = await server.call("delete_guest", { guest: "build-2" });
    expect(question.text).toContain("backup-212");
    const done = await server.call("delete_guest", { guest: "build-2", confirm: "build-2" });
    expect(done.data["still_mentioned"]).toEqual(["backup-212"]);
    expect(done.text).toContain("backup-212");
  });
});

describe("a guest that HA manages", () => {
  test("start and stop say that HA has taken the request, and it happens", async () => {
    const stopped = await server.call("stop_guest", { guest: "gateway-1" });
    expect(stopped.data).toMatchObject({ changed: true, task: { state: "ok", queued: true } });
    expect(stopped.data["status"]).toBe("running");
    expect(stopped.text).toContain("HA");
    await server.clock.advance(60_000);
    expect((await server.call("get_vm", { vm: "gateway-1" })).data["status"]).toBe("stopped");
    const started = await server.call("start_guest", { guest: "gateway-1" });
    expect(started.data).toMatchObject({ status: "stopped", task: { queued: true } });
    expect(started.text).toContain("HA");
    await server.clock.advance(30_000);
    expect((await server.call("get_vm", { vm: "gateway-1" })).data["status"]).toBe("running");
  });

  test("a second stop while HA has been told sends nothing and says where to look; the plug can be pulled", async () => {
    const first = await server.call("stop_guest", { guest: "gateway-1" });
    expect(first.text).toContain('Look then with get_vm {vm: "152"}');
    const second = await server.call("stop_guest", { guest: "gateway-1" });
    expect(server.simulator.log.changes()).toHaveLength(1);
    expect(second.data).toMatchObject({ changed: false, status: "running" });
    expect(second.text).toContain(
      'is running, and HA has been told to stop it already (see get_vm {vm: "152"}); nothing was sent.',
    );
    await server.call("stop_guest", { guest: "gateway-1", mode: "stop" });
    expect(server.simulator.log.changes()).toHaveLength(2);
  });

  test("get_vm right after HA has acted is not behind by a row", async () => {
    await server.call("stop_guest", { guest: "gateway-1" });
    for (let second = 0; second < 15; second++) {
      await server.clock.advance(1_000);
      const { status } = server.simulator.world.guests.get(152)?.run ?? {};
      expect((await server.begin("get_vm", { vm: 152, max_age_s: 0 })).data["status"]).toBe(status);
    }
  });
});

describe("what is not needed or not possible", () => {
  test("a template can't be started: conflict naming clone_vm", async () => {
    const answer = await server.call("start_guest", { guest: "debian-13-template" });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("clone_vm");
    unsent();
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["start_guest", { guest: "web-1" }, "running"],
    ["start_guest", { guest: "dns-1" }, "running"],
    ["stop_guest", { guest: "build-2" }, "stopped"],
    ["stop_guest", { guest: "build-2", mode: "stop" }, "stopped"],
    ["stop_guest", { guest: "build-2", mode: "suspend" }, "stopped"],
  ])("%s %o is done already: changed false, nothing sent", async (tool, args, status) => {
    const answer = await server.call(tool, args);
    expect(answer.isError).toBe(false);
    expect(answer.data).toMatchObject({ changed: false, status });
    expect(answer.text).toContain("nothing was sent");
    unsent();
  });

  test("a paused VM is resumed by start_guest, and can't shut down", async () => {
    await server.call("stop_guest", { guest: "web-1", mode: "suspend" });
    expect((await server.call("get_vm", { vm: "web-1" })).data["status"]).toBe("paused");
    const refused = await server.call("stop_guest", { guest: "web-1" });
    expect(refused.kind).toBe("conflict");
    expect(refused.text).toContain("start_guest");
    const resumed = await server.call("start_guest", { guest: "web-1" });
    expect(resumed.data).toMatchObject({ status: "running", changed: true });
    expect(server.simulator.log.changes().map(({ path }) => path.split("/").at(-1))).toEqual([
      "suspend",
      "resume",
    ]);
    expect((await server.call("get_vm", { vm: "web-1" })).data["status"]).toBe("running");
  });
});

describe("several guests at once", () => {
  test("one that fails does not keep the others from being done", async () => {
    const guests = ["staging-web-2", "nobody", "web-1", "debian-13-template", "sandbox", "310"];
    const answer = await server.call("start_guest", { guests });
    expect(answer.isError).toBe(false);
    const results = answer.data["results"] as Record<string, unknown>[];
    expect(results).toMatchObject([
      { vmid: 302, changed: true, status: "running" },
      { guest: "nobody", error: { kind: "not_found" } },
      { vmid: 101, changed: false },
      { guest: "debian-13-template", error: { kind: "conflict" } },
      { guest: "sandbox", error: { kind: "ambiguous" } },
      { vmid: 310, changed: true, status: "running" },
    ]);
    expect(answer.text.split("\n")).toHaveLength(6);
    expect(server.simulator.log.changes()).toHaveLength(2);
  });

  test("a guest named twice, by name and by vmid, is changed once", async () => {
    const args = { guests: ["staging-web-2", "staging-web-2", 302, "qemu/302"] };
    const answer = await server.call("start_guest", args);
    const results = answer.data["results"] as Record<string, unknown>[];
    expect(results).toMatchObject([{ vmid: 302, status: "running" }]);
    expect(results).toHaveLength(1);
    expect(server.simulator.log.changes()).toHaveLength(1);
  });

  test.each([
    ["start_guest", "staging-web-2", {}],
    ["stop_guest", "web-1", { mode: "shutdown" }],
    ["stop_guest", "web-1", { mode: "stop" }],
  ])("%s of %s %o repeated while its task runs waits for that task", async (tool, guest, args) => {
    const begun = await server.call(tool, { ...args, guest, wait_s: 0 });
    const again = await server.call(tool, { ...args, guest });
    expect(again.data).toMatchObject({ upid: begun.data["upid"], task: { state: "ok" } });
    expect(server.simulator.log.changes()).toHaveLength(1);
  });

  test("guest and guests together, or neither, is invalid_input", async () => {
    expect((await server.call("start_guest", {})).kind).toBe("invalid_input");
    const both = { guest: "web-1", guests: ["web-2"] };
    expect((await server.call("start_guest", both)).kind).toBe("invalid_input");
    unsent();
  });
});

describe("dry_run", () => {
  test.each<[string, Record<string, unknown>, unknown]>([
    [
      "start_guest",
      { guest: "staging-web-2" },
      { method: "POST", path: "/nodes/pve2/qemu/302/status/start" },
    ],
    [
      "stop_guest",
      { guest: "web-1", timeout_s: 9 },
      { path: "/nodes/pve1/qemu/101/status/shutdown", params: { timeout: 9 } },
    ],
    ["stop_guest", { guest: "web-1", mode: "stop" }, { path: "/nodes/pve1/qemu/101/status/stop" }],
    [
      "delete_guest",
      { guest: "build-2", purge: true },
      { method: "DELETE", path: "/nodes/pve3/qemu/212", params: { purge: true } },
    ],
    [
      "clone_vm",
      { vm: "debian-13-template", name: "new-1", vmid: 777 },
      { path: "/nodes/pve1/qemu/9000/clone", params: { newid: 777, name: "new-1" } },
    ],
    [
      "clone_container",
      { container: "debian-13-ct-template", name: "new-1" },
      { path: "/nodes/pve2/lxc/9001/clone", params: { hostname: "new-1" } },
    ],
  ])("%s %o sends nothing and answers the request it would send", async (tool, args, request) => {
    const answer = await server.call(tool, { ...args, dry_run: true });
    expect(answer.isError).toBe(false);
    expect(answer.data).toMatchObject({ changed: false, plan: { against: [] } });
    // A new guest is tagged as ours by a request of its own.
    const { requests } = answer.data["plan"] as { requests: readonly { method: string }[] };
    expect(requests[0]).toMatchObject(request as object);
    expect(requests.slice(1).map(({ method }) => method)).toEqual(
      tool.startsWith("clone_") ? ["PUT"] : [],
    );
    expect(answer.text).toContain("Nothing was sent");
    expect(answer.text).toContain((request as { path: string }).path);
    unsent();
  });

  test("tells what speaks against it", async () => {
    const answer = await server.call("delete_guest", { guest: "db-1", dry_run: true });
    expect(answer.isError).toBe(false);
    const { against } = answer.data["plan"] as { against: { kind: string }[] };
    expect(against.map(({ kind }) => kind)).toEqual(["conflict", "conflict"]);
    unsent();
  });

  test("a clone that was only planned does not keep its vmid or its name", async () => {
    const args = { vm: "debian-13-template", name: "new-1" };
    const planned = await server.call("clone_vm", { ...args, dry_run: true });
    const made = await server.call("clone_vm", args);
    expect(made.data["vmid"]).toBe(planned.data["vmid"]);
  });
});
