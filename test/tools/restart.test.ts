import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

const restart = (args: Record<string, unknown>) => server.call("restart_guest", args);
const world = (vmid: number) => guestOf(server.simulator.world, vmid);

describe("restart_guest", () => {
  test("of a VM waits until it runs again, and pending changes take effect", async () => {
    await server.call("update_guest", { guest: "web-1", set: { memory: 8192 } });
    const { since } = world(101).run;
    const { data, text } = await restart({ guest: "web-1", wait_s: 120 });
    expect(data).toMatchObject({ vmid: 101, status: "running", changed: true });
    expect(data["task"]).toMatchObject({ state: "ok" });
    expect(text).toBe("VM 101 (web-1) on pve1 has restarted.");
    expect(world(101).run.status).toBe("running");
    expect(world(101).run.since).toBeGreaterThan(since);
    expect(world(101).config["memory"]).toBe("8192");
    const after = await server.call("get_vm", { vm: "web-1", include: ["pending"] });
    expect(after.data).toMatchObject({ status: "running", details: { pending: [] } });
  });

  test("leaves nothing in memory that was read while the VM was down", async () => {
    await server.call("update_guest", { guest: "web-1", set: { memory: 8192 } });
    world(101).traits.shutdownMs = 4_000;
    const begun = server.begin("restart_guest", { guest: "web-1", wait_s: 120 });
    const look = () => server.begin("get_vm", { vm: "web-1", include: ["pending"] });
    // The end of the task has been seen, and the host has not started the VM yet.
    await server.clock.advance(5_100);
    expect(world(101).run.status).toBe("stopped");
    expect(server.simulator.log.count({ path: /101\/status\/current$/ })).toBe(2);
    const down = look();
    await server.clock.advance(0);
    expect((await down).data["details"]).toMatchObject({ pending: [{ key: "memory" }] });
    expect((await server.clock.run(begun)).data["status"]).toBe("running");
    expect((await server.clock.run(look())).data["details"]).toEqual({ pending: [] });
  });

  test("of a container, and of several with a result for each", async () => {
    const { data } = await restart({ guests: ["dns-1", "web-1", "build-2", "nope"] });
    const results = data["results"] as Record<string, unknown>[];
    expect(results[0]).toMatchObject({ vmid: 200, status: "running", changed: true });
    expect(results[1]).toMatchObject({ vmid: 101, status: "running", changed: true });
    expect(results[2]).toMatchObject({ guest: "build-2", error: { kind: "conflict" } });
    expect(results[3]).toMatchObject({ guest: "nope", error: { kind: "not_found" } });
    expect(world(200).run.status).toBe("running");
  });

  test("mode reset is a VM's button, at once, and applies nothing", async () => {
    await server.call("update_guest", { guest: "web-1", set: { memory: 8192 } });
    const { data } = await restart({ guest: 101, mode: "reset" });
    expect(data).toMatchObject({ status: "running", changed: true });
    expect(server.simulator.log.changes().at(-1)?.path).toMatch(/status\/reset$/);
    expect(world(101).pending).toEqual({ memory: "8192" });
    const container = await restart({ guest: "dns-1", mode: "reset" });
    expect(container.kind).toBe("invalid_input");
  });

  test("of a guest that does not run: conflict that names start_guest", async () => {
    const stopped = await restart({ guest: "build-2" });
    expect(stopped.kind).toBe("conflict");
    expect(stopped.text).toContain('start_guest {guest: "212"}');
    await server.call("stop_guest", { guest: "web-2", mode: "suspend" });
    const paused = await restart({ guest: "web-2" });
    expect(paused.kind).toBe("conflict");
    expect(paused.text).toContain("paused");
    const template = await restart({ guest: 9000 });
    expect(template.text).toContain("clone_vm");
    const mark = server.simulator.log.mark();
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });

  test("of a guest that ignores it: task_failed that names the hard way", async () => {
    const { kind, text, facts } = await restart({ guest: "legacy-erp", wait_s: 100 });
    expect(kind).toBe("task_failed");
    expect(text).toContain('mode: "reset"');
    expect(facts["exitstatus"]).toBe("VM quit/powerdown failed - got timeout");
    expect(world(140).run.status).toBe("running");
  });

  test("tells of a VM that does not come up again", async () => {
    world(101).config["net0"] = "virtio=BC:24:11:00:00:65,bridge=vmbr9";
    const { data, text } = await restart({ guest: "web-1", wait_s: 120 });
    expect(data).toMatchObject({ status: "stopped", changed: true });
    expect(text).toContain("start_guest");
  });

  test("asked for again while it runs is sent once", async () => {
    const first = server.begin("restart_guest", { guest: "web-1", wait_s: 120 });
    await server.clock.advance(500);
    const second = server.begin("restart_guest", { guest: "101", wait_s: 120 });
    const answers = await server.clock.run(Promise.all([first, second]));
    for (const { data } of answers) expect(data).toMatchObject({ status: "running" });
    expect(server.simulator.log.changes()).toHaveLength(1);
  });

  test("locked, forbidden, unknown, and with dry_run nothing is changed", async () => {
    expect((await restart({ guest: "files-1" })).kind).toBe("locked");
    expect((await restart({ guest: "nope" })).kind).toBe("not_found");
    expect((await restart({ guest: "web-1", mode: "hard" })).kind).toBe("invalid_input");
    const dry = await restart({ guest: "web-1", dry_run: true });
    expect(dry.data["plan"]).toMatchObject({ requests: [{ method: "POST" }] });
    expect(server.simulator.log.changes()).toEqual([]);
    server = await lab({ token: auditorToken });
    const denied = await restart({ guest: "web-1" });
    expect(denied.kind).toBe("forbidden");
    expect(denied.text).toContain("VM.PowerMgmt on /vms/101");
    expect(denied.text).toContain("pveum acl modify /vms/101");
  });
});
