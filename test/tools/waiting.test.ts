import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests", { limit: 100 });
});

const looks = (mark = 0) =>
  server.simulator.log.count({ path: /\/tasks\/.*\/status$/, since: mark });

describe("progress", () => {
  test("of a full clone grows from step to step and stops with the answer", async () => {
    const seen: { progress: number; total?: number | undefined; message?: string | undefined }[] =
      [];
    const args = { vm: "debian-13-template", name: "new-1", full: true };
    const answer = await server.call("clone_vm", args, { onProgress: (step) => seen.push(step) });
    expect(answer.data).toMatchObject({ task: { state: "ok" } });
    expect(seen.length).toBeGreaterThan(2);
    const figures = seen.map(({ progress }) => progress);
    expect(figures).toEqual(figures.toSorted((a, b) => a - b));
    expect(new Set(figures).size).toBe(figures.length);
    expect(Math.max(...figures)).toBeLessThanOrEqual(100);
    expect(
      seen.some(({ total, message }) => total === 100 && /transferred/.test(message ?? "")),
    ).toBe(true);
    const amount = seen.length;
    await server.clock.advance(60_000);
    expect(seen).toHaveLength(amount);
  });
});

describe("wait_s: 0", () => {
  test("answers running with the UPID and the next step, which then tells the end with its log", async () => {
    const args = { vm: "debian-13-template", name: "new-1", full: true, wait_s: 0 };
    const begun = await server.call("clone_vm", args);
    expect(begun.data).toMatchObject({ name: "new-1", changed: true, task: { state: "running" } });
    const upid = String(begun.data["upid"]);
    expect(begun.text).toContain(`get_tasks {upid: "${upid}"`);
    const early = await server.call("get_tasks", { upid });
    expect(early.data).toMatchObject({ upid, type: "qmclone", task: { state: "running" } });
    const ended = await server.call("get_tasks", { upid, wait_s: 60 });
    expect(ended.data).toMatchObject({ upid, task: { state: "ok", exitstatus: "OK" } });
    expect(ended.data["log"]).toEqual(expect.arrayContaining(["TASK OK"]));
    expect((await server.call("get_tasks", { upid })).data).toMatchObject({
      task: { state: "ok" },
    });
  });

  test("does not wait: no look at the task before the answer", async () => {
    await server.call("start_guest", { guest: "staging-web-2", wait_s: 0 });
    expect(looks()).toBe(0);
  });

  test("get_vm is right while the task runs and after its end, whether or not it was noticed", async () => {
    await server.call("get_vm", { vm: "staging-web-2" });
    const { data } = await server.call("start_guest", { guest: "staging-web-2", wait_s: 0 });
    expect(data).toMatchObject({ status: "stopped", task: { state: "running" } });
    const guest = server.simulator.world.guests.get(302);
    for (let step = 0; guest?.run.status !== "running" && step < 100; step++) {
      await server.clock.advance(50);
      const state = server.simulator.world.guests.get(302)?.run.status;
      expect((await server.begin("get_vm", { vm: 302 })).data["status"]).toBe(state);
    }
    expect(guest?.run.status).toBe("running");
    await server.clock.advance(15_000);
    const after = await server.begin("get_vm", { vm: "staging-web-2" });
    expect(after.data).toMatchObject({ status: "running" });
    expect(after.data["upid"]).toBeUndefined();
  });
});

describe("what was read just before a task ended", () => {
  /** Lets the change begin and time pass until right before, or just after, it has taken effect. */
  async function begun(name: string, args: Record<string, unknown>, done: () => boolean) {
    const change = server.begin(name, args);
    let ms = 0;
    for (; !done() && ms < 60_000; ms += 10) await server.clock.advance(10);
    await server.clock.run(change);
    server = await lab();
    await server.call("list_guests");
    const again = server.begin(name, args);
    await server.clock.advance(ms - 10);
    expect(done()).toBe(false);
    return { change: again };
  }

  test("is not served once the change is answered: a guest's state", async () => {
    const running = () => server.simulator.world.guests.get(302)?.run.status === "running";
    const { change } = await begun("start_guest", { guest: 302 }, running);
    expect((await server.begin("get_vm", { vm: 302 })).data["status"]).toBe("stopped");
    expect((await server.clock.run(change)).data["status"]).toBe("running");
    expect((await server.begin("get_vm", { vm: 302 })).data["status"]).toBe("running");
  });

  test("is not served once the change is answered: a list", async () => {
    const gone = () => !server.simulator.world.guests.has(212);
    const { change } = await begun("delete_guest", { guest: 212, confirm: "build-2" }, gone);
    const listed = async () =>
      (await server.begin("list_guests", { name: "build-2" })).data["total"];
    expect(await listed()).toBe(1);
    expect((await server.clock.run(change)).data["status"]).toBe("deleted");
    expect(await listed()).toBe(0);
  });
});

describe("what was being read while a change was accepted and ended", () => {
  test("is not laid over a row from before: get_vm", async () => {
    const slow = (ms: number) =>
      server.simulator.faults.delay(ms, { path: /302\/config$/, times: 1 });
    slow(1_000);
    const reading = server.begin("get_vm", { vm: "staging-web-2" });
    await server.clock.advance(10);
    await server.call("start_guest", { guest: "staging-web-2", wait_s: 0 });
    slow(10_000);
    expect((await server.clock.run(reading)).data["status"]).toBe("running");
  });
});

describe("a call that is cancelled while it waits", () => {
  test("its task goes on, and the memory learns of its end", async () => {
    await server.call("get_vm", { vm: "web-1" });
    const cancel = new AbortController();
    const call = server.begin("stop_guest", { guest: "web-1" }, { signal: cancel.signal });
    const given = call.then(
      () => "answered",
      () => "cancelled",
    );
    await server.clock.advance(2_000);
    expect(server.simulator.log.changes()).toHaveLength(1);
    cancel.abort();
    expect(await given).toBe("cancelled");
    expect((await server.call("get_vm", { vm: "web-1" })).data["status"]).toBe("running");
    await server.clock.advance(30_000);
    expect((await server.begin("get_vm", { vm: "web-1" })).data["status"]).toBe("stopped");
    const mark = server.simulator.log.mark();
    await server.clock.advance(120_000);
    expect(server.simulator.log.since(mark)).toEqual([]);
  });

  test("its progress ends, and get_tasks stops looking", async () => {
    const begun = await server.call("clone_vm", {
      vm: "debian-13-template",
      name: "new-1",
      full: true,
      wait_s: 0,
    });
    const upid = String(begun.data["upid"]);
    server.simulator.outside.start(302);
    const foreign = server.simulator.outside.shutdown(140);
    const cancel = new AbortController();
    const waits = [upid, foreign].map((each) =>
      server.begin("get_tasks", { upid: each, wait_s: 600 }, { signal: cancel.signal }).then(
        () => "answered",
        () => "cancelled",
      ),
    );
    await server.clock.advance(3_000);
    cancel.abort();
    expect(await Promise.all(waits)).toEqual(["cancelled", "cancelled"]);
    const mark = server.simulator.log.mark();
    await server.clock.advance(50_000);
    const asked = server.simulator.log.filter({ path: /qmshutdown/, since: mark });
    expect(asked).toEqual([]);
  });
});

describe("a guest that ignores the power button", () => {
  test("stop_guest answers task_failed with log lines and the next step; then mode stop succeeds", async () => {
    const failed = await server.call("stop_guest", { guest: "legacy-erp", wait_s: 120 });
    expect(failed.kind).toBe("task_failed");
    expect(failed.text).toContain("got timeout");
    expect(failed.text).toContain("TASK ERROR");
    expect(failed.text).toMatch(/mode: ?"stop"/);
    expect(failed.facts).toMatchObject({
      type: "qmshutdown",
      exitstatus: expect.stringContaining("timeout"),
    });
    expect((await server.call("get_vm", { vm: "legacy-erp" })).data["status"]).toBe("running");
    const stopped = await server.call("stop_guest", { guest: "legacy-erp", mode: "stop" });
    expect(stopped.data).toMatchObject({ vmid: 140, status: "stopped", task: { state: "ok" } });
  });

  test("mode stop overrules our own shutdown that still waits", async () => {
    const waiting = await server.call("stop_guest", { guest: "legacy-erp", wait_s: 5 });
    expect(waiting.data).toMatchObject({ task: { state: "running" }, status: "running" });
    const stopped = await server.call("stop_guest", { guest: "legacy-erp", mode: "stop" });
    expect(stopped.data).toMatchObject({ vmid: 140, status: "stopped" });
    expect(server.simulator.log.changes().at(-1)?.body).toMatchObject({ "overrule-shutdown": "1" });
  });

  test("timeout_s is handed on", async () => {
    const failed = await server.call("stop_guest", { guest: "legacy-erp", timeout_s: 5 });
    expect(failed.kind).toBe("task_failed");
    expect(server.simulator.log.changes()[0]?.body).toEqual({ timeout: "5" });
  });
});

describe("a success with warnings", () => {
  test("is a success, and the warnings are told", async () => {
    server.simulator.outside.setConfig(302, { bios: "ovmf" });
    const answer = await server.call("start_guest", { guest: "staging-web-2" });
    expect(answer.isError).toBe(false);
    expect(answer.data).toMatchObject({ status: "running", task: { state: "warnings" } });
    expect(answer.text).toContain("no efidisk configured");
    const { warnings } = answer.data["task"] as { warnings: string[] };
    expect(warnings).toHaveLength(1);
  });
});

describe("clone_vm with start", () => {
  const args = { vm: "debian-13-template", name: "new-1", start: true };

  test("waits until the new VM runs", async () => {
    const answer = await server.call("clone_vm", args);
    expect(answer.data).toMatchObject({ name: "new-1", status: "running", task: { state: "ok" } });
    const { data } = await server.call("get_vm", { vm: "new-1" });
    expect(data).toMatchObject({ status: "running", tags: ["mcp", "template"] });
  });

  test("starts and tags it though nobody waits", async () => {
    const begun = await server.call("clone_vm", { ...args, wait_s: 0 });
    expect(begun.data).toMatchObject({ task: { state: "running" } });
    await server.clock.advance(30_000);
    const guest = server.simulator.world.guests.get(Number(begun.data["vmid"]));
    expect(guest?.run.status).toBe("running");
    expect(guest?.config["tags"]).toContain("mcp");
    expect((await server.call("get_vm", { vm: "new-1" })).data["status"]).toBe("running");
  });

  test("tells when the start failed, and the clone stays", async () => {
    server.simulator.outside.setConfig(9000, { net0: "virtio,bridge=vmbr9" });
    const answer = await server.call("clone_vm", args);
    expect(answer.isError).toBe(false);
    expect(answer.text).toContain("could not be started");
    const { data } = await server.call("get_vm", { vm: "new-1" });
    expect(data).toMatchObject({ status: "stopped" });
    expect(answer.data["status"]).toBe("stopped");
  });
});

describe("get_tasks", () => {
  test("lists the guest's tasks, newest first, with their states", async () => {
    await server.call("start_guest", { guest: "staging-web-2" });
    await server.call("stop_guest", { guest: "staging-web-2", mode: "stop" });
    const { data } = await server.call("get_tasks", { guest: "staging-web-2" });
    const tasks = data["tasks"] as { type: string; state: string }[];
    expect(tasks.map(({ type, state }) => [type, state])).toEqual([
      ["qmstop", "ok"],
      ["qmstart", "ok"],
    ]);
  });

  test("a failed task is no error", async () => {
    const failed = await server.call("stop_guest", { guest: "legacy-erp", wait_s: 120 });
    const { upid } = failed.facts as { upid: string };
    const answer = await server.call("get_tasks", { upid });
    expect(answer.isError).toBe(false);
    expect(answer.data).toMatchObject({ task: { state: "failed" } });
    expect(answer.text).toContain("TASK ERROR");
  });
});
