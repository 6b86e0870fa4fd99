import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const guest = (vmid: number) => guestOf(server.simulator.world, vmid);

const names = (vmid: number) => guest(vmid).snapshots.map(({ name }) => name);

/** Takes one, and what of it was sent. */
function snapshot(args: Record<string, unknown>) {
  return server.act("create_snapshot", args);
}

async function refused(args: Record<string, unknown>) {
  const { kind, text, sent } = await snapshot(args);
  expect(sent).toEqual([]);
  return { kind, text };
}

describe("create_snapshot", () => {
  test("takes one under the name that is given", async () => {
    const args = { guest: "web-1", name: "before-upgrade", description: "just in case" };
    const { data, text, sent } = await snapshot(args);
    expect(data).toMatchObject({
      vmid: 101,
      name: "web-1",
      status: "running",
      changed: true,
      snapshot: "before-upgrade",
      task: { state: "ok" },
    });
    expect(guest(101).snapshots).toMatchObject([
      { name: "before-upgrade", description: "just in case" },
    ]);
    expect(guest(101).snapshots[0]?.vmstate).toBeUndefined();
    expect(text).toContain("VM 101 (web-1) on pve1 has snapshot before-upgrade");
    expect(sent[0]?.body).toEqual({ snapname: "before-upgrade", description: "just in case" });
  });

  test("reads configuration and snapshots, then sends once", async () => {
    const mark = server.simulator.log.mark();
    await server.call("create_snapshot", { guest: "web-1", wait_s: 0 });
    expect(server.simulator.log.paths(mark)).toEqual([
      "GET /nodes/pve1/qemu/101/config",
      "GET /nodes/pve1/qemu/101/snapshot",
      "POST /nodes/pve1/qemu/101/snapshot",
    ]);
  });

  test("makes a name of prefix and time", async () => {
    expect((await snapshot({ guest: "web-1" })).data["snapshot"]).toBe("auto-20260101-120015");
    const long = await snapshot({ guest: "web-2", prefix: "x".repeat(22) });
    expect(long.data["snapshot"]).toMatch(/^x{22}20260101-\d{6}$/);
    expect(names(102)).toEqual([long.data["snapshot"]]);
  });

  test.each([
    "x".repeat(23),
    "x".repeat(41),
    "production-web-server-blue-",
    "team.a-",
    "team a-",
    " a-",
    "1-",
    "ü-",
  ])("a prefix that would not stand in the name as it is: %s", async (prefix) => {
    for (const more of [{}, { keep: 1 }, { dry_run: true }]) {
      const { kind, text } = await refused({ guest: "web-1", prefix, ...more });
      expect(kind).toBe("invalid_input");
      expect(text).toContain("1 to 22 letters, digits, _ and -, a letter first");
    }
  });

  test("two in one second have two names", async () => {
    const one = await snapshot({ guest: "web-1", wait_s: 0 });
    await server.clock.advance(900);
    const two = await snapshot({ guest: "web-1", wait_s: 0 });
    await server.clock.advance(5_000);
    expect([one, two].map(({ data }) => data["snapshot"])).toEqual(names(101));
    expect(new Set(names(101)).size).toBe(2);
  });

  test("two at once do not meet in the task: the second is told to wait", async () => {
    const both = await server.clock.run(
      Promise.all([
        server.begin("create_snapshot", { guest: "web-1" }),
        server.begin("create_snapshot", { guest: "web-1" }),
      ]),
    );
    expect(both.map(({ kind }) => kind).sort()).toEqual(["", "busy"]);
    expect(names(101).length).toBe(1);
  });

  test("saves the memory of a running VM, and of no other", async () => {
    const running = await snapshot({ guest: "web-1", memory: true });
    expect(running.data["memory"]).toBe(true);
    expect(running.sent[0]?.body["vmstate"]).toBe("1");
    expect(guest(101).snapshots[0]?.vmstate).toBeDefined();
    const stopped = await snapshot({ guest: "staging-web-2", memory: true });
    expect(stopped.data).not.toHaveProperty("memory");
    expect(stopped.sent[0]?.body).not.toHaveProperty("vmstate");
    const container = await refused({ guest: "dns-1", memory: true });
    expect(container.kind).toBe("invalid_input");
  });

  test("takes several, each with its own outcome", async () => {
    const { data, text } = await snapshot({ guests: ["web-1", "files-1", "dns-1"] });
    const results = data["results"] as readonly Readonly<Record<string, unknown>>[];
    expect(results[0]).toMatchObject({ vmid: 101, snapshot: expect.stringMatching(/^auto-/) });
    expect(results[1]).toMatchObject({ guest: "files-1", error: { kind: "locked" } });
    expect(names(200).length).toBe(1);
    expect(text).toContain("locked");
  });
});

describe("what Proxmox would refuse in the task is refused before", () => {
  test.each([
    ["a name that is taken", { guest: "wiki", name: "clean-install" }, "conflict"],
    ["a template", { guest: "debian-13-template" }, "conflict"],
    ["a guest that is locked", { guest: "files-1" }, "locked"],
    ["a reserved name", { guest: "web-1", name: "current" }, "invalid_input"],
    ["a reserved name of containers", { guest: "dns-1", name: "vzdump" }, "invalid_input"],
    ["a name that begins with a digit", { guest: "web-1", name: "1st" }, "invalid_input"],
    ["a name of one letter", { guest: "web-1", name: "x" }, "invalid_input"],
    ["a name of 41 letters", { guest: "web-1", name: "x".repeat(41) }, "invalid_input"],
    ["a name with a path", { guest: "web-1", name: "a/../b" }, "invalid_input"],
    ["name and keep", { guest: "web-1", name: "abc", keep: 2 }, "invalid_input"],
    ["a guest that is not there", { guest: "web-99" }, "not_found"],
    ["a name of two guests", { guest: "sandbox" }, "ambiguous"],
    ["neither guest nor guests", {}, "invalid_input"],
  ])("%s", async (_, args, kind) => {
    expect((await refused(args)).kind).toBe(kind);
  });

  test("a name that is taken is told in time also when it is new", async () => {
    await snapshot({ guest: "web-1", name: "mine" });
    expect((await refused({ guest: "web-1", name: "mine" })).text).toContain("mine");
  });

  test("a guest that was replaced is not taken for the one that was shown", async () => {
    await server.call("get_vm", { vm: 101 });
    server.simulator.outside.retake(101, { name: "other" });
    await server.clock.advance(1_000);
    expect((await refused({ guest: "101" })).kind).toBe("identity_changed");
  });

  test("who may not is told the privilege and the command", async () => {
    const auditor = await lab({ token: auditorToken });
    const answer = await auditor.call("create_snapshot", { guest: "web-1" });
    expect(answer.kind).toBe("forbidden");
    expect(answer.text).toContain("VM.Snapshot on /vms/101");
    expect(answer.text).toContain("pveum acl modify /vms/101");
  });
});

describe("keep", () => {
  test("the n newest of a prefix stay over many runs, and foreign ones are never touched", async () => {
    await snapshot({ guest: "wiki", name: "auto-by-hand" });
    await snapshot({ guest: "wiki", prefix: "auto-x-" });
    const foreign = names(151);
    const taken: string[] = [];
    for (let run = 1; run <= 5; run++) {
      await server.clock.advance(3_600_000);
      const { data } = await snapshot({ guest: "wiki", keep: 2 });
      taken.push(String(data["snapshot"]));
      expect(data["removed"]).toEqual(run > 2 ? [taken[run - 3]] : []);
      expect(names(151)).toEqual([...foreign, ...taken.slice(-2)]);
    }
  });

  test.each(["Pacific/Kiritimati", "America/St_Johns", "UTC"])(
    "keep 3 over five runs in %s: the three newest are there, what people made too, and the dry run said so",
    async (zone) => {
      const before = process.env["TZ"];
      process.env["TZ"] = zone;
      onTestFinished(() => {
        if (before === undefined) delete process.env["TZ"];
        else process.env["TZ"] = before;
      });
      const byHand = names(151);
      const taken: string[] = [];
      for (let run = 1; run <= 5; run++) {
        await server.clock.advance(3_600_000);
        const args = { guest: "wiki", prefix: "auto-", keep: 3 };
        const planned = await snapshot({ ...args, dry_run: true });
        expect(planned.sent).toEqual([]);
        const { data } = await snapshot(args);
        expect(data["removed"]).toEqual((planned.data["plan"] as { removes: string[] }).removes);
        taken.push(String(data["snapshot"]));
      }
      for (const name of taken) expect(name).toMatch(/^auto-20260101-1[0-9]{5}$/);
      expect(taken[0]).toBe("auto-20260101-130015");
      expect(names(151)).toEqual([...byHand, ...taken.slice(-3)]);
    },
  );

  test("each removal is a task of its own, once the new snapshot is there", async () => {
    await snapshot({ guest: "web-1" });
    await server.clock.advance(1_000);
    await snapshot({ guest: "web-1" });
    await server.clock.advance(1_000);
    const old = names(101);
    const { sent, text } = await snapshot({ guest: "web-1", keep: 1 });
    expect(sent.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /nodes/pve1/qemu/101/snapshot",
      ...old.map((name) => `DELETE /nodes/pve1/qemu/101/snapshot/${name}`),
    ]);
    expect(text).toContain(`Removed: ${old.join(", ")}`);
  });

  test("nothing is removed where the new one failed", async () => {
    await snapshot({ guest: "web-1" });
    await server.clock.advance(1_000);
    const before = names(101);
    const begun = await snapshot({ guest: "web-1", keep: 1, wait_s: 0 });
    server.simulator.outside.lock(101, "backup");
    await server.clock.advance(30_000);
    const { data } = await server.call("get_tasks", { upid: begun.data["upid"] });
    expect(data["task"]).toMatchObject({ state: "failed" });
    expect(names(101)).toEqual(before);
  });

  test("nothing is removed where the new one is not among them afterwards", async () => {
    await snapshot({ guest: "web-1" });
    await server.clock.advance(1_000);
    await server.call("create_snapshot", { guest: "web-1", keep: 1, wait_s: 0 });
    const body = JSON.stringify({
      data: [{ name: names(101)[0], snaptime: 1 }, { name: "auto-20200101-000000" }],
    });
    const headers = { "content-type": "application/json" };
    server.simulator.faults.reply(
      { status: 200, headers, body },
      { method: "GET", path: /snapshot$/ },
    );
    await server.clock.advance(60_000);
    expect(server.simulator.log.paths().filter((path) => path.startsWith("DELETE"))).toEqual([]);
  });

  test("goes on where nobody waits", async () => {
    await snapshot({ guest: "web-1" });
    await server.clock.advance(1_000);
    const begun = await snapshot({ guest: "web-1", keep: 1, wait_s: 0 });
    expect(begun.data["removed"]).toEqual([]);
    await server.clock.advance(60_000);
    expect(names(101)).toEqual([begun.data["snapshot"]]);
  });

  test("what can't be removed is a warning, and the snapshot a success", async () => {
    await snapshot({ guest: "web-1" });
    await server.clock.advance(1_000);
    const [old] = names(101);
    server.simulator.faults.reply(
      { status: 500, reason: "storage trouble" },
      { method: "DELETE", path: /snapshot/ },
    );
    const { data, isError, text } = await snapshot({ guest: "web-1", keep: 1 });
    expect(isError).toBe(false);
    expect(data["removed"]).toEqual([]);
    expect(JSON.stringify(data["task"])).toContain(`Snapshot ${old} could not be removed`);
    expect(text).toContain("Warning");
    expect(names(101).length).toBe(2);
  });

  test("dry_run names what would go and sends nothing", async () => {
    await snapshot({ guest: "web-1" });
    await server.clock.advance(1_000);
    const before = names(101);
    const { data, text, sent } = await snapshot({ guest: "web-1", keep: 1, dry_run: true });
    expect(sent).toEqual([]);
    expect(data["plan"]).toMatchObject({ removes: before });
    expect(data).not.toHaveProperty("removed");
    expect(text).toContain(`Then it would remove ${before[0]}`);
    expect(names(101)).toEqual(before);
  });
});
