import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { guestOf, type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const guest = (vmid: number) => guestOf(server.simulator.world, vmid);

const names = (vmid: number) => guest(vmid).snapshots.map(({ name }) => name);

/** Calls, and what of it was sent besides reads. */
async function change(tool: string, args: Record<string, unknown>) {
  const { sent, ...answer } = await server.act(tool, args);
  return { ...answer, sent: sent.map(({ method, path }) => `${method} ${path}`), bodies: sent };
}

const rollback = (args: Record<string, unknown>) => change("rollback_snapshot", args);
const remove = (args: Record<string, unknown>) => change("delete_snapshot", args);
const wiki = { guest: "wiki", name: "clean-install" };

describe("rollback_snapshot", () => {
  test("says first what is lost, and sends nothing", async () => {
    const { kind, text, sent, facts } = await rollback(wiki);
    expect(kind).toBe("confirmation_required");
    expect(sent).toEqual([]);
    expect(facts["confirm"]).toBe("wiki");
    expect(text).toContain("everything written to scsi0 since clean-install (2025-11-22");
    expect(text).toContain("40 d ago");
    expect(text).toContain("it is running: it is stopped hard, and stays off");
    expect(text).toContain("newer snapshots stay: before-upgrade");
    expect((await rollback({ ...wiki, confirm: "web-1" })).kind).toBe("confirmation_required");
    expect(guest(151).run.status).toBe("running");
  });

  test("puts disks and configuration back, and the guest is found stopped at once", async () => {
    server.simulator.outside.setConfig(151, { cores: "7" });
    const { data, text, sent } = await rollback({ ...wiki, confirm: "wiki" });
    expect(sent).toEqual(["POST /nodes/pve1/qemu/151/snapshot/clean-install/rollback"]);
    expect(data).toMatchObject({ vmid: 151, status: "stopped", changed: true });
    expect(data).toMatchObject({ name: "wiki", node: "pve1", task: { state: "ok" } });
    expect(text).toContain("VM 151 (wiki) on pve1 is back at snapshot clean-install and stopped");
    expect(guest(151).config).toMatchObject({ cores: "2", parent: "clean-install" });
    expect(names(151)).toEqual(["clean-install", "before-upgrade"]);
    const { data: list } = await server.call("list_guests", { name: "wiki" });
    expect(list["guests"]).toMatchObject([{ status: "stopped" }]);
  });

  test("starts it afterwards where that is asked for, and where the memory was saved", async () => {
    const started = await rollback({ ...wiki, confirm: "wiki", start: true });
    expect(started.data["status"]).toBe("running");
    expect(started.bodies[0]?.body).toEqual({ start: "1" });
    expect(guest(151).run.status).toBe("running");
    await server.call("create_snapshot", { guest: "web-1", name: "hot", memory: true });
    const asked = await rollback({ guest: "web-1", name: "hot" });
    expect(asked.text).toContain("goes on from the saved memory");
    const resumed = await rollback({ guest: "web-1", name: "hot", confirm: "web-1" });
    expect(resumed.data["status"]).toBe("running");
    expect(guest(101).run.status).toBe("running");
  });

  test("a guest that had another name then has it again, and is the one that was meant", async () => {
    server.simulator.outside.rename(151, "wiki-new");
    await server.clock.advance(15_000);
    await server.call("get_vm", { vm: 151 });
    const { data } = await rollback({ guest: 151, name: "clean-install", confirm: "wiki-new" });
    expect(data["name"]).toBe("wiki");
    expect((await server.call("start_guest", { guest: 151 })).data["changed"]).toBe(true);
    expect((await server.call("get_vm", { vm: "wiki" })).data["vmid"]).toBe(151);
  });

  test("that it could not be started afterwards is told", async () => {
    server.simulator.world.bridges.delete("vmbr0");
    const { data, text } = await rollback({ ...wiki, confirm: "wiki", start: true });
    expect(data["status"]).toBe("stopped");
    expect(text).toContain("It could not be started: start_guest says why.");
  });

  test("a container goes back too", async () => {
    await server.call("create_snapshot", { guest: "dns-1", name: "one" });
    server.simulator.outside.setConfig(200, { memory: "2048" });
    const args = { guest: "dns-1", name: "one", confirm: "dns-1", start: true };
    const { data, sent } = await rollback(args);
    expect(sent).toEqual(["POST /nodes/pve1/lxc/200/snapshot/one/rollback"]);
    expect(data).toMatchObject({ status: "running", type: "lxc" });
    expect(guest(200).config["memory"]).toBe("512");
  });

  test("on ZFS only the newest: the newer ones are named, the newest first", async () => {
    const { world } = server.simulator;
    const { type: _, ...lvm } = world.storages.get("local-lvm") ?? ({} as never);
    world.storages.set("local-lvm", { ...lvm, type: "zfspool" });
    await server.clock.advance(15_000);
    const { kind, text, sent } = await rollback({ ...wiki, confirm: "wiki" });
    expect(kind).toBe("conflict");
    expect(text).toContain("newer snapshots (before-upgrade)");
    expect(text).toContain('delete_snapshot {guest: "151", name: "before-upgrade"}');
    expect(sent).toEqual([]);
    const newest = await rollback({ guest: "wiki", name: "before-upgrade", confirm: "wiki" });
    expect(newest.data["changed"]).toBe(true);
  });

  test("a snapshot that came to no end is not gone back to", async () => {
    const body = JSON.stringify({ data: [{ name: "half", snaptime: 1, snapstate: "prepare" }] });
    const headers = { "content-type": "application/json" };
    const match = { method: "GET", path: /151\/snapshot$/ } as const;
    server.simulator.faults.reply({ status: 200, headers, body }, match);
    const { kind, text } = await rollback({ guest: "wiki", name: "half", confirm: "wiki" });
    expect(kind).toBe("conflict");
    expect(text).toContain("unfinished snapshot half (prepare). Remove it with delete_snapshot");
  });

  test("a task that fails is told with its reason", async () => {
    const { world } = server.simulator;
    const { type: _, ...lvm } = world.storages.get("local-lvm") ?? ({} as never);
    // The rows still say lvmthin: what only the worker knows.
    await server.call("list_guests", { max_age_s: 0 });
    world.storages.set("local-lvm", { ...lvm, type: "zfspool" });
    const { kind, text } = await rollback({ ...wiki, confirm: "wiki" });
    expect(kind).toBe("task_failed");
    expect(text).toContain("can't rollback, 'clean-install' is not most recent snapshot");
    expect(guest(151).run.status).toBe("running");
  });
});

describe("delete_snapshot", () => {
  test("is confirmed by the guest's name, and children move to the parent", async () => {
    const asked = await remove({ guest: "wiki", name: "clean-install" });
    expect(asked.kind).toBe("confirmation_required");
    expect(asked.text).toContain("the way back to clean-install (2025-11-22");
    expect(asked.text).toContain("before-upgrade become the first");
    expect(asked.sent).toEqual([]);
    const { data, sent, text } = await remove({ ...wiki, confirm: "wiki" });
    expect(sent).toEqual(["DELETE /nodes/pve1/qemu/151/snapshot/clean-install"]);
    expect(data).toMatchObject({ vmid: 151, changed: true, status: "running" });
    expect(text).toContain("has no snapshot clean-install any more");
    expect(guest(151).snapshots).toMatchObject([{ name: "before-upgrade" }]);
    expect(guest(151).snapshots[0]?.parent).toBeUndefined();
    const { data: vm } = await server.call("get_vm", { vm: "wiki", include: ["snapshots"] });
    expect(JSON.stringify(vm)).not.toContain("clean-install");
  });

  test("asked for again it is not there, and the names that are there are named", async () => {
    await remove({ ...wiki, confirm: "wiki" });
    const { kind, text, sent } = await remove({ ...wiki, confirm: "wiki" });
    expect(kind).toBe("not_found");
    expect(text).toContain("has no snapshot clean-install. It has before-upgrade.");
    expect(sent).toEqual([]);
    expect((await remove({ guest: "web-1", name: "none" })).text).toContain("It has none.");
  });

  test("goes on where nobody waits, and more of it is refused meanwhile", async () => {
    const begun = await remove({ ...wiki, confirm: "wiki", wait_s: 0 });
    expect(begun.data).toMatchObject({ task: { state: "running" } });
    const second = await server.begin("delete_snapshot", { guest: "wiki", name: "before-upgrade" });
    expect(second.kind).toBe("busy");
    await server.clock.advance(30_000);
    expect(names(151)).toEqual(["before-upgrade"]);
  });
});

describe.each(["rollback_snapshot", "delete_snapshot"])("%s refuses", (tool) => {
  test.each([
    ["a snapshot that is not there", { guest: "wiki", name: "nope" }, "not_found"],
    ["a guest that is not there", { guest: "web-99", name: "one" }, "not_found"],
    ["a name of two guests", { guest: "sandbox", name: "one" }, "ambiguous"],
    ["a name with a path", { guest: "wiki", name: "a/../b" }, "invalid_input"],
    ["no name", { guest: "wiki" }, "invalid_input"],
  ])("%s", async (_, args, kind) => {
    const answer = await change(tool, { ...args, confirm: "wiki" });
    expect(answer.kind).toBe(kind);
    expect(answer.sent).toEqual([]);
  });

  test("a locked guest", async () => {
    server.simulator.outside.lock(151, "backup");
    const { kind, sent } = await change(tool, { ...wiki, confirm: "wiki" });
    expect(kind).toBe("locked");
    expect(sent).toEqual([]);
  });

  test("a guest that was replaced", async () => {
    await server.call("get_vm", { vm: 151 });
    server.simulator.outside.retake(151, { name: "other" });
    const { kind, sent } = await change(tool, { ...wiki, guest: 151, confirm: "other" });
    expect(kind).toBe("identity_changed");
    expect(sent).toEqual([]);
  });

  test("who may not, with the privilege and the command", async () => {
    const auditor = await lab({ tools, token: auditorToken });
    const { kind, text } = await auditor.call(tool, { ...wiki, confirm: "wiki" });
    expect(kind).toBe("forbidden");
    expect(text).toMatch(/VM\.Snapshot.* on \/vms\/151/);
    expect(text).toContain("pveum acl modify /vms/151");
  });

  test("nothing in a dry run, which only reads", async () => {
    const { data, text, sent } = await change(tool, { ...wiki, dry_run: true });
    expect(sent).toEqual([]);
    expect(data["changed"]).toBe(false);
    expect(data["plan"]).toMatchObject({ against: [], requests: [{ params: {} }] });
    expect(text).toContain("Nothing was sent.");
    expect(names(151)).toEqual(["clean-install", "before-upgrade"]);
  });
});
