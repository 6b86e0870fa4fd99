import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, lab, tools } from "../kit.ts";

const web = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";
const db = "nfs-shared:backup/vzdump-qemu-120-2025_12_31-02_00_03.vma.zst";
const dns = "nfs-shared:backup/vzdump-lxc-200-2025_12_31-02_14_12.tar.zst";
let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const found = (vmid: number) => server.simulator.world.guests.get(vmid);

function guest(vmid: number) {
  const one = found(vmid);
  if (!one) throw new Error(`no guest ${vmid}`);
  return one;
}

/** Calls, and what of it was sent besides reads. */
async function restore(args: Record<string, unknown>) {
  const { sent: requests, ...answer } = await server.act("restore_backup", {
    wait_s: 600,
    ...args,
  });
  const sent = requests.map(({ method, path }) => `${method} ${path}`);
  return { ...answer, sent, body: requests[0]?.body };
}

describe("beside what there is", () => {
  test("makes a new guest under a name that is free, with addresses of its own and our tag", async () => {
    const { data, text, sent, body } = await restore({ volume: web });
    expect(sent).toEqual(["POST /nodes/pve1/qemu"]);
    expect(body).toEqual({
      vmid: "100",
      archive: web,
      unique: "1",
      name: "web-1-restored",
      tags: "prod;web;mcp",
    });
    expect(data).toMatchObject({ vmid: 100, name: "web-1-restored", status: "stopped" });
    expect(text).toContain(`VM 100 (web-1-restored) on pve1 is restored from ${web} and stopped`);
    expect(guest(100).config).toMatchObject({ name: "web-1-restored", tags: "mcp;prod;web" });
    expect(guest(100).config["net0"]).not.toBe(guest(101).config["net0"]);
    expect(guest(100).config["scsi0"]).toContain("local-lvm:vm-100-disk-0,");
    expect(guest(101).run.status).toBe("running");
    const { data: vm } = await server.call("get_vm", { vm: "web-1-restored" });
    expect(vm).toMatchObject({ vmid: 100, status: "stopped" });
  });

  test("under the old name and vmid where the guest is gone, and starts it", async () => {
    server.simulator.outside.destroy(101);
    await server.clock.advance(15_000);
    const { data } = await restore({ volume: web, vmid: 101, start: true });
    expect(data).toMatchObject({ vmid: 101, name: "web-1", status: "running" });
    expect(guest(101).run.status).toBe("running");
  });

  test("a container goes where its disks were, for Proxmox would guess `local`", async () => {
    const args = { volume: dns, name: "dns-9", node: "pve2", vmid: 777 };
    const { data, sent, body } = await restore(args);
    expect(sent).toEqual(["POST /nodes/pve2/lxc"]);
    expect(body).toMatchObject({ ostemplate: dns, restore: "1", storage: "local-lvm" });
    expect(data).toMatchObject({ vmid: 777, node: "pve2", type: "lxc", changed: true });
    expect(guest(777).config).toMatchObject({ hostname: "dns-9", memory: "512" });
  });

  test("to another storage, which shows the new disk at once", async () => {
    await server.call("list_storage", { storage: "nfs-shared" });
    await restore({ volume: web, storage: "nfs-shared", name: "copy" });
    expect(guest(100).config["scsi0"]).toContain("nfs-shared:100/vm-100-disk-0.qcow2");
    const { text } = await server.call("list_storage", { storage: "nfs-shared", limit: 100 });
    expect(text).toContain("nfs-shared:100/vm-100-disk-0.qcow2");
  });

  test("is found by its name while it is being made, and the restore goes on", async () => {
    const { data } = await restore({ volume: web, wait_s: 0 });
    expect(data).toMatchObject({ vmid: 100, task: { state: "running" } });
    const { data: row } = await server.call("list_guests", { name: "web-1-restored" });
    expect(row["guests"]).toMatchObject([{ vmid: 100, lock: "create" }]);
    const again = await restore({ volume: web, name: "web-1-restored" });
    expect(again.kind).toBe("conflict");
    await server.clock.advance(120_000);
    expect(guest(100).config["lock"]).toBeUndefined();
  });

  test("a vmid that somebody took meanwhile is replaced by the next", async () => {
    const reason = "unable to restore VM 100 - VM 100 already exists on node 'pve1'";
    const match = { method: "POST", path: /qemu$/, times: 1 } as const;
    server.simulator.faults.reply({ status: 500, reason }, match);
    const { data, sent } = await restore({ volume: web });
    expect(sent.length).toBe(2);
    expect(data).toMatchObject({ name: "web-1-restored", changed: true });
  });

  test("a storage of then that its node does not have is told before anything is sent", async () => {
    const config = server.simulator.world.volumes.get(`/${web}`)?.archive?.config ?? {};
    config["scsi0"] = "old-lvm:vm-101-disk-0,size=20G";
    const { kind, text, sent } = await restore({ volume: web });
    expect(kind).toBe("conflict");
    expect(text).toContain("pve1 has no storage old-lvm for its disks");
    expect(text).toContain("as storage: local-lvm, nfs-shared.");
    expect(sent).toEqual([]);
    expect((await restore({ volume: web, storage: "local-lvm" })).data["changed"]).toBe(true);
  });

  test("that it could not be started is told", async () => {
    server.simulator.world.bridges.delete("vmbr0");
    const { data, text, isError } = await restore({ volume: web, start: true });
    expect(isError).toBe(false);
    expect(data["status"]).toBe("stopped");
    expect(text).toContain("Warning: It could not be started: start_guest says why.");
  });

  test("a lost answer leaves the vmid in doubt", async () => {
    server.simulator.faults.cutAfterWorld({ method: "POST", path: /qemu$/, times: 1 });
    const { kind, text } = await restore({ volume: web });
    expect(kind).toBe("outcome_unknown");
    expect(text).toContain("It was to make VM 100 (web-1-restored) on pve1");
  });
});

describe("over a guest", () => {
  const args = { volume: web, guest: "web-1" };

  beforeEach(async () => {
    server.simulator.outside.powerOff(101);
    await server.clock.advance(15_000);
    guest(101).snapshots.push({ name: "x", snaptime: 1, description: "", config: {} });
  });

  test("says first what is lost, and sends nothing", async () => {
    const { kind, text, sent, facts } = await restore(args);
    expect(kind).toBe("confirmation_required");
    expect(sent).toEqual([]);
    expect(facts["confirm"]).toBe("web-1");
    expect(text).toContain("disk scsi0: local-lvm:vm-101-disk-0 (20 GiB)");
    expect(text).toContain("its snapshots; everything since 2025-12-31 12:00 UTC");
    expect(text).not.toContain("another guest");
    const other = await restore({ ...args, volume: db, name: "db-9" });
    expect(other.text).toContain("another guest");
    expect(other.text).toContain("VM 120 (db-1)");
    expect(other.text).toContain("its snapshots and all that is on it");
    expect(other.text).not.toContain("everything since");
  });

  test("puts the backup in its place", async () => {
    server.simulator.outside.setConfig(101, { cores: "7", name: "web-1b" });
    await server.clock.advance(15_000);
    await server.call("get_vm", { vm: 101 });
    const confirmed = { ...args, guest: 101, confirm: "web-1b", start: true };
    const { data, text, sent, body } = await restore(confirmed);
    expect(sent).toEqual(["POST /nodes/pve1/qemu"]);
    expect(body).toEqual({ vmid: "101", archive: web, force: "1", start: "1" });
    expect(data).toMatchObject({ vmid: 101, name: "web-1", status: "running", changed: true });
    expect(text).toContain(`is restored from ${web} and running`);
    expect(guest(101)).toMatchObject({ snapshots: [], config: { cores: "2", name: "web-1" } });
    const { data: vm } = await server.call("get_vm", { vm: "web-1" });
    expect(vm).toMatchObject({ vmid: 101, status: "running" });
    // It is the guest that we have just shown, under its old name.
    expect((await server.call("stop_guest", { guest: 101 })).data["status"]).toBe("stopped");
  });

  test("a container", async () => {
    server.simulator.outside.powerOff(200);
    const { sent, body } = await restore({ volume: dns, guest: "dns-1", confirm: "dns-1" });
    expect(sent).toEqual(["POST /nodes/pve1/lxc"]);
    expect(body).toMatchObject({ force: "1", storage: "local-lvm" });
    expect(body).not.toHaveProperty("unique");
  });

  test.each([
    ["a running guest", { guest: "web-2", volume: web }, "conflict", "stop_guest"],
    ["a guest of the other kind", { guest: "dns-1", volume: web }, "invalid_input", "holds a VM"],
    ["a guest that is not there", { guest: "web-99", volume: web }, "not_found", ""],
    ["a vmid for it", { ...args, vmid: 777 }, "invalid_input", "vmid is for a new guest"],
  ])("refuses %s", async (_, given, kind, words) => {
    const answer = await restore(given);
    expect(answer.kind).toBe(kind);
    expect(answer.text).toContain(words);
    expect(answer.sent).toEqual([]);
  });

  test("refuses a guest that is protected or locked", async () => {
    server.simulator.outside.setConfig(101, { protection: "1" });
    expect(await restore({ ...args, confirm: "web-1" })).toMatchObject({
      kind: "conflict",
      sent: [],
    });
    server.simulator.outside.lock(101, "backup");
    expect(await restore({ ...args, confirm: "web-1" })).toMatchObject({
      kind: "locked",
      sent: [],
    });
  });

  test("refuses a backup that its node does not see", async () => {
    const made = await server.call("create_backup", { guest: "dns-1", storage: "local" });
    server.simulator.outside.powerOff(201);
    const answer = await restore({ volume: made.data["volid"], guest: "dns-2", confirm: "dns-2" });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("lies on local of pve1 alone and can't be read from pve2");
  });
});

describe("restore_backup", () => {
  test.each([
    ["no backup", { volume: "local:iso/debian-13.2.0-amd64-netinst.iso" }, "invalid_input"],
    ["a backup that is not there", { volume: web.replace("10_41", "10_42") }, "not_found"],
    ["a storage that is not there", { volume: "nope:backup/x.vma" }, "not_found"],
    ["a node that is not there", { volume: web, node: "pve9" }, "not_found"],
    ["a storage for no disks", { volume: web, storage: "local" }, "conflict"],
    ["a name that is taken", { volume: web, name: "web-2" }, "conflict"],
    ["a vmid that is taken", { volume: web, vmid: 102 }, "conflict"],
  ])("refuses %s", async (_, args, kind) => {
    const answer = await restore(args);
    expect(answer.kind).toBe(kind);
    expect(answer.sent).toEqual([]);
  });

  test("only reads in a dry run", async () => {
    const { data, text, sent } = await restore({ volume: web, dry_run: true });
    expect(sent).toEqual([]);
    expect(data["changed"]).toBe(false);
    expect(text).toContain(
      "makes VM 100 (web-1-restored) on pve1 from the backup of VM 101 (web-1)",
    );
    server.simulator.outside.powerOff(101);
    const over = await restore({ volume: web, guest: "web-1", dry_run: true });
    expect(over.sent).toEqual([]);
    expect(over.text).toContain("in the place of VM 101 (web-1) on pve1");
    expect((await restore({ volume: web })).data["vmid"]).toBe(100);
  });

  test("who may not is told the privilege and the command", async () => {
    const auditor = await lab({ tools, token: auditorToken });
    addToken(auditor.simulator.world, { id: auditorToken.tokenId, secret: auditorToken.secret });
    const answer = await auditor.call("restore_backup", { volume: web });
    // What one may not use is not even listed.
    expect(answer.kind).toBe("not_found");
    expect(answer.text).toContain("what these credentials may not use is not listed");
    const token = { tokenId: "half@pve!x", secret: "0d5e7f1e-0000-4000-8000-00000000000a" };
    const half = await lab({ tools, token });
    const roles = { "/vms": "PVEVMUser", "/nodes": "PVEAuditor", "/storage": "PVEDatastoreUser" };
    addToken(half.simulator.world, { id: token.tokenId, secret: token.secret, roles });
    half.simulator.outside.powerOff(101);
    await half.clock.advance(15_000);
    const beside = await half.call("restore_backup", { volume: web });
    expect(beside.kind).toBe("forbidden");
    // Without VM.Allocate only over the guest; its storage has to be ours too.
    const acl = half.simulator.world.acl;
    half.simulator.world.acl = acl.filter(({ path }) => path !== "/storage");
    const roles2 = {
      "/storage/nfs-shared": "PVEDatastoreUser",
      "/storage/local-lvm": "PVEAuditor",
    };
    addToken(half.simulator.world, { id: token.tokenId, secret: token.secret, roles: roles2 });
    const args = { volume: web, guest: "web-1", confirm: "web-1" };
    const over = await half.call("restore_backup", args);
    expect(over.kind).toBe("forbidden");
    expect(over.text).toContain("Datastore.AllocateSpace on /storage/local-lvm");
    expect(over.text).toContain("pveum acl modify /storage/local-lvm");
  });
});
