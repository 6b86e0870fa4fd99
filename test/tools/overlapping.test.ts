import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests", { limit: 100 });
});

const guest = "staging-web-2"; // VM 302 on pve2, stopped
const sent = (mark = 0) =>
  server.simulator.log.changes(mark).map(({ method, path }) => `${method} ${path}`);

describe("a change while an earlier one of ours is under way", () => {
  test("stopping what is being started is not called done", async () => {
    await server.call("start_guest", { guest, wait_s: 0 });
    const answer = await server.call("stop_guest", { guest, mode: "stop", wait_s: 0 });
    expect(answer.kind).toBe("busy");
    expect(answer.text).toMatch(/get_tasks \{upid: "UPID:pve2:.*qmstart/);
    expect(sent()).toHaveLength(1);
    await server.clock.advance(30_000);
    const later = await server.call("stop_guest", { guest, mode: "stop" });
    expect(later.data).toMatchObject({ status: "stopped", changed: true });
    expect(server.simulator.world.guests.get(302)?.run.status).toBe("stopped");
  });

  test("starting what is shutting down is not called done", async () => {
    await server.call("stop_guest", { guest: "web-1", wait_s: 0 });
    const answer = await server.call("start_guest", { guest: "web-1", wait_s: 0 });
    expect(answer.kind).toBe("busy");
    expect(sent()).toHaveLength(1);
    await server.clock.advance(60_000);
    const later = await server.call("start_guest", { guest: "web-1" });
    expect(later.data).toMatchObject({ status: "running", changed: true });
  });

  test.each([
    ["start_guest", { guest }],
    ["clone_vm", { vm: guest, name: "new-1" }],
    ["create_snapshot", { guest, name: "before" }],
  ])("%s of what is being destroyed sends nothing", async (tool, args) => {
    await server.call("delete_guest", { guest, confirm: guest, wait_s: 0 });
    const answer = await server.call(tool, { ...args, wait_s: 0 });
    expect(["busy", "not_found"]).toContain(answer.kind);
    expect(sent()).toEqual(["DELETE /nodes/pve2/qemu/302"]);
  });

  test("pulling the plug puts an end to a shutdown that waits", async () => {
    await server.call("stop_guest", { guest: "web-1", timeout_s: 600, wait_s: 0 });
    const answer = await server.call("stop_guest", { guest: "web-1", mode: "stop" });
    expect(answer.data).toMatchObject({ status: "stopped", changed: true });
  });

  test("a task that has ended a moment ago holds nothing up, though nobody has looked at it", async () => {
    await server.call("start_guest", { guest, wait_s: 0 });
    const isOn = () => server.simulator.world.guests.get(302)?.run.status === "running";
    // Watchers look ever more seldom: the clock stops between two looks.
    while (!isOn()) await server.clock.advance(10);
    await server.clock.advance(150);
    const mark = server.simulator.log.mark();
    const answer = await server.call("stop_guest", { guest, mode: "stop", wait_s: 0 });
    expect(answer.kind).toBe("");
    expect(sent(mark)).toEqual(["POST /nodes/pve2/qemu/302/status/stop"]);
  });

  test("a guest that is being destroyed says so wherever it is shown", async () => {
    await server.call("delete_guest", { guest, confirm: guest, wait_s: 0 });
    const { data } = await server.call("get_vm", { vm: guest });
    expect(data).toMatchObject({ vmid: 302, lock: "destroyed" });
    expect(data["upid"]).toMatch(/qmdestroy/);
    const list = await server.call("list_guests", { name: guest });
    expect(list.data["guests"]).toMatchObject([{ vmid: 302, lock: "destroyed" }]);
  });
});

describe("a change that is given up after it was sent", () => {
  test("is followed: a clone is tagged and started all the same", async () => {
    server.simulator.faults.delay(5_000, { method: "POST", path: /clone$/, times: 1 });
    const giveUp = new AbortController();
    const args = { vm: guest, name: "new-1", start: true };
    const call = server.begin("clone_vm", args, { signal: giveUp.signal });
    const given = call.then(
      () => "answered",
      () => "cancelled",
    );
    await server.clock.advance(1_000);
    giveUp.abort();
    expect(await server.clock.run(given)).toBe("cancelled");
    await server.clock.advance(120_000);
    const made = [...server.simulator.world.guests.values()].find(
      ({ config }) => config["name"] === "new-1",
    );
    expect(made?.config["tags"]).toContain("mcp");
    expect(made?.run.status).toBe("running");
  });
});

describe("a clone whose answer was lost", () => {
  const clone = { vm: "debian-13-template", name: "new-1" };
  const made = () =>
    [...server.simulator.world.guests.values()].filter(({ config }) => config["name"] === "new-1");

  test("is found by its name and by the vmid that the answer names, as soon as it is there", async () => {
    server.simulator.faults.cutAfterWorld({ method: "POST", path: /clone$/, times: 1 });
    const answer = await server.call("clone_vm", { ...clone, full: true });
    const vmid = answer.facts["vmid"];
    expect(answer.facts).toMatchObject({ name: "new-1", type: "qemu" });
    expect(answer.text).toContain(`get_vm {vm: "${vmid}"}`);
    await server.clock.advance(3_000);
    expect((await server.call("get_vm", { vm: "new-1" })).data).toMatchObject({ vmid });
    expect((await server.call("get_vm", { vm: String(vmid) })).data).toMatchObject({ vmid });
  });

  test("is not made twice, neither at once nor while it is under way nor later", async () => {
    server.simulator.faults.cutAfterWorld({ method: "POST", path: /clone$/, times: 1 });
    await server.call("clone_vm", { ...clone, full: true });
    for (let second = 0; second < 90; second += 3) {
      const again = await server.call("clone_vm", clone);
      expect(["busy", "conflict"], again.text).toContain(again.kind);
      await server.clock.advance(3_000);
    }
    expect(made()).toHaveLength(1);
  });

  test("that never arrived can be repeated after a while, and gets its vmid back", async () => {
    server.simulator.faults.cutBeforeWorld({ method: "POST", path: /clone$/, times: 1 });
    const { facts } = await server.call("clone_vm", clone);
    const again = await server.call("clone_vm", clone);
    expect(again.kind).toBe("busy");
    expect(again.text).toMatch(/not there in [0-9]+ s, repeat/);
    const other = await server.call("clone_vm", { ...clone, name: "new-2" });
    expect(other.data["vmid"]).not.toBe(facts["vmid"]);
    await server.clock.advance(46_000);
    const third = await server.call("clone_vm", { ...clone, vmid: facts["vmid"] });
    expect(third.data).toMatchObject({ vmid: facts["vmid"], name: "new-1" });
    expect(made()).toHaveLength(1);
  });
});

describe("a task whose state can't be asked", () => {
  test("says why, and what to do about it, while it runs and when it is given up", async () => {
    const reason = "Permission check failed (/nodes/pve2, Sys.Audit)";
    server.simulator.faults.reply({ status: 403, reason }, { path: /tasks\/.*status/ });
    const answer = await server.call("start_guest", { guest });
    expect(answer.data["task"]).toMatchObject({ state: "running" });
    expect(answer.text).toContain("Sys.Audit");
    expect(answer.text).toContain("pveum");
    const late = await server.call("start_guest", { guest, wait_s: 3_600 });
    expect(late.kind).toBe("outcome_unknown");
    expect(late.text).toContain("pveum");
    expect(late.facts).toMatchObject({ reason: "forbidden" });
  });

  test("of a host that has gone names the host", async () => {
    const call = server.begin("start_guest", { guest, wait_s: 120 });
    await server.clock.advance(100);
    server.simulator.outside.nodeDown("pve2");
    const answer = await server.clock.run(call);
    expect(answer.data["task"]).toMatchObject({ state: "running" });
    expect(answer.text).toMatch(/can't be asked at the moment.*pve2/);
  });
});

describe("progress", () => {
  test("is heard by all who wait for the same task", async () => {
    const clone = { vm: "web-1", name: "new-1", full: true, wait_s: 0 };
    const { data } = await server.call("clone_vm", clone);
    const heard: number[] = [];
    const wait = (index: number) =>
      server.begin(
        "get_tasks",
        { upid: data["upid"], wait_s: 600 },
        { onProgress: () => heard.push(index) },
      );
    await server.clock.run(Promise.all([wait(0), wait(1)]));
    expect(heard).toContain(0);
    expect(heard).toContain(1);
  });
});

describe("a list that has changed between two pages", () => {
  const vmids = (answer: Awaited<ReturnType<Lab["call"]>>) =>
    (answer.data["guests"] as { vmid: number }[]).map((row) => row.vmid);

  test.each([
    ["others before the page are gone", [0, 1]],
    ["the last one shown is gone", [9]],
    ["both", [0, 8, 9]],
  ])("skips nobody: %s", async (_, gone) => {
    const first = await server.call("list_guests", { limit: 10 });
    const shown = vmids(first);
    for (const index of gone) server.simulator.outside.destroy(shown[index] ?? 0);
    await server.clock.advance(11_000);
    const second = await server.call("list_guests", { limit: 100, cursor: first.data["cursor"] });
    const all = vmids(await server.call("list_guests", { limit: 100 }));
    const seen = new Set([...shown, ...vmids(second)]);
    expect(all.filter((vmid) => !seen.has(vmid))).toEqual([]);
  });
});
