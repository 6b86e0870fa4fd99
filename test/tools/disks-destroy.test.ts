import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { guestOf, type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
});

const world = (vmid: number) => guestOf(server.simulator.world, vmid);
const volume = (key: string) => server.simulator.world.volumes.get(key);
const sent = () => server.simulator.log.changes();

describe("detach_disk", () => {
  const detach = (guest: string, disk: string, more: Record<string, unknown> = {}) =>
    server.call("detach_disk", { guest, disk, ...more });
  const attach = (guest: string, more = {}) =>
    server.call("attach_disk", { guest, size: "4G", storage: "local-lvm", ...more });

  test("asks first, with what becomes of the data", async () => {
    await attach("web-1");
    const mark = server.simulator.log.mark();
    for (const confirm of [undefined, "web-2", "101"]) {
      const asked = await detach("web-1", "scsi1", { ...(confirm && { confirm }) });
      expect(asked.kind).toBe("confirmation_required");
      expect(asked.text).toContain("scsi1 (local-lvm:vm-101-disk-1, 4 GiB)");
      expect(asked.text).toContain("stays as an unused disk");
    }
    const destroying = await detach("web-1", "scsi0", { destroy: true });
    expect(destroying.text).toContain("with all data on it");
    expect(destroying.text).toContain("scsi0 is in the boot order");
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });

  test("keeps the volume as an unused disk, which destroy then removes", async () => {
    await attach("web-1");
    const out = await detach("web-1", "scsi1", { confirm: "web-1" });
    expect(out.data).toMatchObject({ vmid: 101, changed: true, disk: "scsi1" });
    expect(world(101).config["unused0"]).toBe("local-lvm:vm-101-disk-1");
    const kept = await detach("web-1", "unused0");
    expect(kept.data).toMatchObject({ changed: false });
    const gone = await detach("web-1", "unused0", { destroy: true, confirm: "web-1" });
    expect(gone.data).toMatchObject({ changed: true });
    expect(volume("pve1/local-lvm:vm-101-disk-1")).toBeUndefined();
    expect(world(101).config["unused0"]).toBeUndefined();
    expect((await detach("web-1", "scsi1", { confirm: "web-1" })).kind).toBe("not_found");
  });

  test("destroys at once where that is asked for, and nothing else", async () => {
    await attach("web-1");
    await detach("web-1", "scsi1", { destroy: true, confirm: "web-1" });
    expect(volume("pve1/local-lvm:vm-101-disk-1")).toBeUndefined();
    expect(volume("pve1/local-lvm:vm-101-disk-0")).toBeDefined();
    expect(world(101).config["unused0"]).toBeUndefined();
    expect(sent().at(-1)?.body).toMatchObject({ delete: "scsi1", force: "1" });
  });

  test("of a bus without hot-plug waits for a restart, and is carried out by it", async () => {
    await attach("web-1", { slot: "sata0" });
    await server.call("restart_guest", { guest: "web-1", wait_s: 120 });
    const { data, text } = await detach("web-1", "sata0", { destroy: true, confirm: "web-1" });
    expect(data["pending"]).toEqual(["sata0"]);
    expect(text).toContain("Waits for a restart: sata0");
    expect(volume("pve1/local-lvm:vm-101-disk-1")).toBeDefined();
    await server.call("restart_guest", { guest: "web-1", wait_s: 120 });
    expect(volume("pve1/local-lvm:vm-101-disk-1")).toBeUndefined();
  });

  test("of a container: out, or destroyed in a second request", async () => {
    const mount = { mountpoint: "/srv/data" };
    await attach("lxc/311", mount);
    await detach("lxc/311", "mp0", { confirm: "sandbox" });
    expect(world(311).config["unused0"]).toBe("local-lvm:vm-311-disk-1");
    await attach("lxc/311", mount);
    const { data } = await detach("lxc/311", "mp0", { destroy: true, confirm: "sandbox" });
    expect(data).toMatchObject({ vmid: 311, changed: true });
    expect(volume("pve3/local-lvm:vm-311-disk-2")).toBeUndefined();
    expect(volume("pve3/local-lvm:vm-311-disk-1")).toBeDefined();
    expect(world(311).config["mp0"]).toBeUndefined();
  });

  test("of a container whose second request fails: out, kept, and told so", async () => {
    let puts = 0;
    server = await lab({
      tools,
      wire: (simulator) => ({
        send: (request) => {
          // To attach, to detach, and to destroy.
          const third = request.method === "PUT" && ++puts === 3;
          if (third) simulator.outside.setConfig(311, { cores: "4" });
          return simulator.send(request);
        },
        close: () => simulator.close(),
      }),
    });
    await attach("lxc/311", { mountpoint: "/srv/data" });
    const answer = await detach("lxc/311", "mp0", { destroy: true, confirm: "sandbox" });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("was taken out of container 311 (sandbox) on pve3, but not");
    expect(answer.text).toContain("detach_disk");
    expect(volume("pve3/local-lvm:vm-311-disk-1")).toBeDefined();
    expect(world(311).config["unused0"]).toBe("local-lvm:vm-311-disk-1");
  });

  test("of a running container marks the mount point, and destroys nothing", async () => {
    await attach("dns-1", { mountpoint: "/srv/data" });
    const refused = await detach("dns-1", "mp0", { destroy: true, confirm: "dns-1" });
    expect(refused.kind).toBe("conflict");
    expect(refused.text).toContain("stop_guest");
    const { data } = await detach("dns-1", "mp0", { confirm: "dns-1" });
    expect(data["pending"]).toEqual(["mp0"]);
    expect((await detach("dns-1", "rootfs", { confirm: "dns-1" })).kind).toBe("invalid_input");
  });

  test("protection keeps disks, and says how it is taken off", async () => {
    const kept = await detach("db-1", "scsi0", { confirm: "db-1" });
    expect(kept.kind).toBe("conflict");
    expect(kept.text).toContain('update_guest {guest: "120", set: {"protection": "0"}}');
    expect(sent()).toEqual([]);
  });

  test("a volume that a snapshot needs is destroyed by nobody", async () => {
    const confirm = { destroy: true, confirm: "wiki" };
    const failed = await detach("wiki", "scsi0", confirm);
    expect(failed.kind).toBe("conflict");
    expect(failed.text).toContain("still in use by snapshots clean-install, before-upgrade");
    expect(sent()).toEqual([]);
    expect(volume("pve1/local-lvm:vm-151-disk-0")).toBeDefined();
    expect(world(151).config["scsi0"]).toBeDefined();
  });

  test("locked, not_found, and with dry_run only read", async () => {
    const confirm = { confirm: "files-1" };
    expect((await detach("files-1", "scsi0", confirm)).kind).toBe("locked");
    expect((await detach("web-1", "scsi9", { confirm: "web-1" })).kind).toBe("not_found");
    expect((await detach("nope", "scsi0", { confirm: "nope" })).kind).toBe("not_found");
    const dry = await detach("web-1", "scsi0", { destroy: true, dry_run: true });
    expect(dry.data["plan"]).toMatchObject({ requests: [{ params: { delete: "scsi0" } }] });
    expect(sent()).toEqual([]);
  });
});

describe("convert_to_template", () => {
  const convert = (guest: string, more: Record<string, unknown> = {}) =>
    server.call("convert_to_template", { guest, ...more });

  test("of a VM, once, and it can be cloned", async () => {
    await server.call("list_guests");
    const asked = await convert("build-2");
    expect(asked.kind).toBe("confirmation_required");
    const { data } = await convert("build-2", { confirm: "build-2" });
    expect(data).toMatchObject({ vmid: 212, changed: true, task: { state: "ok" } });
    expect(world(212).config).toMatchObject({ template: "1" });
    expect(world(212).config["scsi0"]).toMatch(/^local-lvm:base-212-disk-0/);
    expect((await server.call("get_vm", { vm: "build-2" })).data["template"]).toBe(true);
    expect((await convert("build-2")).data).toMatchObject({ changed: false });
    expect((await server.call("start_guest", { guest: "build-2" })).kind).toBe("conflict");
    const clone = await server.call("clone_vm", { vm: "build-2", name: "build-3" });
    expect(clone.data["changed"]).toBe(true);
  });

  test("of a container waits for the task that PVE does not name", async () => {
    const { data } = await convert("lxc/311", { confirm: "sandbox" });
    expect(data).toMatchObject({ vmid: 311, type: "lxc", changed: true, task: { state: "ok" } });
    expect(String(data["upid"])).toContain(":vztemplate:311:");
    expect(world(311).config["rootfs"]).toMatch(/^local-lvm:base-311-disk-0/);
  });

  test("is refused while it runs, has snapshots or is locked", async () => {
    const running = await convert("web-1", { confirm: "web-1" });
    expect(running.kind).toBe("conflict");
    expect(running.text).toContain('stop_guest {guest: "101"}');
    await server.call("stop_guest", { guest: "wiki", mode: "stop" });
    const mark = server.simulator.log.mark();
    const kept = await convert("wiki", { confirm: "wiki" });
    expect(kept.kind).toBe("conflict");
    expect(kept.text).toContain("delete_snapshot");
    server.simulator.outside.lock(302, "backup");
    expect((await convert("302", { confirm: "staging-web-2" })).kind).toBe("locked");
    const dry = await convert("build-2", { dry_run: true });
    expect(dry.data["plan"]).toMatchObject({ requests: [{ method: "POST" }] });
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });
});

describe("credentials that may only look", () => {
  test.each<[string, Record<string, unknown>, string]>([
    ["resize_disk", { disk: "scsi0", size: "+1G" }, "VM.Config.Disk"],
    ["move_disk", { disk: "scsi0", storage: "nfs-shared" }, "VM.Config.Disk"],
    ["attach_disk", { size: "1G", storage: "local-lvm" }, "VM.Config"],
    ["detach_disk", { disk: "scsi0", confirm: "build-2" }, "VM.Config"],
    ["convert_to_template", { confirm: "build-2" }, "VM.Allocate"],
  ])("%s: forbidden, naming privilege, path and the pveum line", async (tool, args, privilege) => {
    server = await lab({ tools, token: auditorToken });
    const answer = await server.call(tool, { guest: "build-2", ...args });
    expect(answer.kind).toBe("forbidden");
    expect(answer.text).toContain(privilege);
    expect(answer.text).toContain("pveum acl modify /vms/212 --tokens 'auditor@pve!agent'");
    expect(sent().map(({ status }) => status)).toEqual([403]);
  });
});
