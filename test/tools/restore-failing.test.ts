import { beforeEach, expect, test } from "vitest";
import { type Lab, lab, tools } from "../kit.ts";

const web = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";
const dns = "nfs-shared:backup/vzdump-lxc-200-2025_12_31-02_14_12.tar.zst";
let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const restore = (args: Record<string, unknown>) =>
  server.call("restore_backup", { wait_s: 600, ...args });

function storage(id: string) {
  const found = server.simulator.world.storages.get(id);
  if (!found) throw new Error(`no storage ${id}`);
  return found;
}

const guest = (vmid: number) => server.simulator.world.guests.get(vmid);
const volumes = (vmid: number) =>
  [...server.simulator.world.volumes.values()].filter(
    (one) => one.vmid === vmid && one.content === "images",
  );

/** A second disk for the backup, whose storage is gone by the time it is written. */
async function failingMidway(args: Record<string, unknown>) {
  const config = server.simulator.world.volumes.get(`/${web}`)?.archive?.config ?? {};
  config["scsi1"] = "nfs-shared:101/vm-101-disk-1.qcow2,size=20G";
  const begun = server.begin("restore_backup", { volume: web, wait_s: 600, ...args });
  await server.clock.advance(3_000);
  storage("nfs-shared").disabled = true;
  return server.clock.run(begun);
}

async function switchedOff(vmid: number): Promise<void> {
  server.simulator.outside.powerOff(vmid);
  await server.clock.advance(15_000);
}

test("a new VM stays half made, and the answer says so and how it is deleted", async () => {
  await server.call("list_guests", { max_age_s: 0 });
  storage("local-lvm").disabled = true;
  const { kind, text, facts } = await restore({ volume: web });
  expect(kind).toBe("task_failed");
  expect(text).toContain("storage 'local-lvm' is disabled");
  expect(text).toContain("VM 100 on pve1 is left, without a name and without its disks");
  expect(text).toContain('delete_guest {guest: "100"}');
  expect(facts).toMatchObject({ vmid: 100, left: true });
  expect(guest(100)?.config).toEqual({});
  expect((await server.call("get_vm", { vm: "web-1-restored" })).kind).toBe("not_found");
  expect((await server.call("get_vm", { vm: 100 })).data["status"]).toBe("stopped");
  storage("local-lvm").disabled = false;
  await server.clock.advance(15_000);
  // The vmid is taken, the name is not.
  const again = await restore({ volume: web });
  expect(again.data).toMatchObject({ name: "web-1-restored", changed: true });
  expect(again.data["vmid"]).not.toBe(100);
  const gone = await server.call("delete_guest", { guest: 100, confirm: "VM 100", wait_s: 60 });
  expect(gone.isError, gone.text).toBe(false);
  expect(guest(100)).toBeUndefined();
});

test("a new container is taken away again, and its name and vmid are free", async () => {
  const config = server.simulator.world.volumes.get(`/${dns}`)?.archive?.config ?? {};
  config["mp0"] = "local-lvm:vm-200-disk-1,mp=/srv,size=20G";
  const args = { volume: dns, name: "dns-9", wait_s: 600 };
  const begun = server.begin("restore_backup", args);
  await server.clock.advance(3_000);
  storage("local-lvm").disabled = true;
  const { kind, text, facts } = await server.clock.run(begun);
  expect(kind).toBe("task_failed");
  expect(text).toContain("container 100 on pve1 was taken away again");
  expect(facts["left"]).toBe(false);
  expect(guest(100)).toBeUndefined();
  storage("local-lvm").disabled = false;
  await server.clock.advance(15_000);
  expect((await restore({ volume: dns, name: "dns-9" })).data["vmid"]).toBe(100);
});

test("over a guest the answer says that the old disks may be gone", async () => {
  await switchedOff(101);
  guest(101)?.snapshots.push({ name: "x", snaptime: 1, description: "", config: {} });
  const { kind, text, facts } = await failingMidway({ guest: "web-1", confirm: "web-1" });
  expect(kind).toBe("task_failed");
  expect(text).toContain("VM 101 state is NOT cleaned up");
  expect(text).toContain("VM 101 (web-1) on pve1 is still there");
  expect(text).toContain("its old disks and snapshots may be gone");
  expect(text).toContain("repeat this restore");
  expect(text).not.toContain("delete_guest");
  expect(facts).toMatchObject({ vmid: 101, left: true });
  // The guest still names what is not there any more.
  expect(guest(101)?.config["scsi0"]).toContain("vm-101-disk-0");
  expect(guest(101)?.config["lock"]).toBeUndefined();
  expect(volumes(101)).toEqual([]);
  storage("nfs-shared").disabled = false;
  await server.clock.advance(15_000);
  const again = await restore({ volume: web, guest: "web-1", confirm: "web-1" });
  expect(again.data["changed"], again.text).toBe(true);
  expect(volumes(101)).toHaveLength(2);
});

test("a task that lacked a privilege says so, and what it leaves", async () => {
  await switchedOff(101);
  const why = "403 Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)";
  const { kind, text } = await failingWith(why);
  expect(kind).toBe("forbidden");
  expect(text).toContain("pveum acl modify /storage/local-lvm");
  expect(text).toContain("its old disks and snapshots may be gone");
});

async function failingWith(exitstatus: string) {
  const begun = server.begin("restore_backup", {
    volume: web,
    guest: "web-1",
    confirm: "web-1",
    wait_s: 600,
  });
  const body = JSON.stringify({ data: { status: "stopped", exitstatus } });
  server.simulator.faults.reply({ status: 200, body }, { path: /qmrestore.*\/status$/ });
  return server.clock.run(begun);
}

test("stopped halfway over a guest, nobody is told to delete the guest", async () => {
  await switchedOff(101);
  const args = { volume: web, guest: "web-1", confirm: "web-1", wait_s: 1 };
  const { data } = await restore(args);
  const { text } = await server.call("stop_task", { upid: data["upid"] });
  expect(text).toContain("its old disks and snapshots may be gone: repeat the restore");
  expect(text).toContain("delete only that");
  expect(guest(101)).toBeDefined();
  expect(volumes(101)).toEqual([]);
});
