import { beforeEach, describe, expect, test } from "vitest";
import { guestOf, type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
});

const gib = 1024 ** 3;
const world = (vmid: number) => guestOf(server.simulator.world, vmid);
const volume = (key: string) => server.simulator.world.volumes.get(key);
const sent = () => server.simulator.log.changes();
const lines = () => sent().map(({ method, path }) => `${method} ${path}`);

describe("resize_disk", () => {
  const resize = (guest: string, disk: string, size: string, more = {}) =>
    server.call("resize_disk", { guest, disk, size, ...more });

  test("grows to a size or by one, and the next read shows it", async () => {
    await server.call("get_vm", { vm: "web-1" });
    const grown = await resize("web-1", "scsi0", "32G");
    expect(grown.data).toMatchObject({ vmid: 101, changed: true, size_bytes: 32 * gib });
    expect(world(101).config["scsi0"]).toContain("size=32G");
    expect(volume("pve1/local-lvm:vm-101-disk-0")?.sizeBytes).toBe(32 * gib);
    const more = await resize("web-1", "scsi0", "+8G");
    expect(more.data).toMatchObject({ size_bytes: 40 * gib });
    expect(sent().at(-1)?.body).toMatchObject({ disk: "scsi0", size: "40G" });
    const { data } = await server.call("get_vm", { vm: "web-1" });
    const { disks } = data["config"] as { disks: { size_bytes: number }[] };
    expect(disks[0]).toMatchObject({ key: "scsi0", size_bytes: 40 * gib });
  });

  test("of a container, and of the size that it has: nothing is sent", async () => {
    expect((await resize("dns-1", "rootfs", "9GiB")).data["changed"]).toBe(true);
    const again = await resize("dns-1", "rootfs", "9216M");
    expect(again.data).toMatchObject({ changed: false, size_bytes: 9 * gib });
    expect(again.text).toContain("has 9 GiB on rootfs already");
    expect(sent()).toHaveLength(1);
  });

  test("never shrinks, and says what there is", async () => {
    const smaller = await resize("web-1", "scsi0", "8G");
    expect(smaller.kind).toBe("invalid_input");
    expect(smaller.text).toContain("has 20 GiB; disks only grow");
    expect((await resize("web-1", "scsi0", "64")).kind).toBe("invalid_input");
    expect((await resize("web-1", "scsi0", "-8G")).kind).toBe("invalid_input");
    const missing = await resize("web-1", "scsi7", "64G");
    expect(missing.kind).toBe("not_found");
    expect(missing.facts["disks"]).toEqual(["scsi0"]);
    expect((await resize("debian-13-template", "ide2", "64G")).text).toContain("CD drive");
    expect(sent()).toEqual([]);
  });

  test("holds the digest that was given against the one of now", async () => {
    const { data } = await server.call("get_vm", { vm: "web-1" });
    server.simulator.outside.setConfig(101, { cores: "6" });
    const stale = await resize("web-1", "scsi0", "32G", { digest: data["digest"] });
    expect(stale.text).toMatch(/scsi0: local-lvm:vm-101-disk-0\S* now\./);
    expect(stale.kind).toBe("conflict");
    expect(sent()).toEqual([]);
    const retry = await resize("web-1", "scsi0", "32G", { digest: stale.facts["digest"] });
    expect(retry.data["changed"]).toBe(true);
  });

  test("fails in its task where PVE finds out there", async () => {
    world(301).snapshots.push({ name: "a", snaptime: 0, description: "", config: {} });
    const failed = await resize("staging-web-1", "scsi0", "32G");
    expect(failed.kind).toBe("task_failed");
    expect(failed.text).toContain("if snapshot exists");
    expect(world(301).config["scsi0"]).toContain("size=16G");
  });

  test("locked, and with dry_run only read", async () => {
    expect((await resize("files-1", "scsi0", "200G")).kind).toBe("locked");
    const dry = await resize("web-1", "scsi0", "+1G", { dry_run: true });
    expect(dry.data["plan"]).toMatchObject({
      requests: [{ method: "PUT", params: { disk: "scsi0", size: "21G" } }],
    });
    expect(sent()).toEqual([]);
  });
});

describe("move_disk", () => {
  const move = (guest: string, disk: string, storage: string, more = {}) =>
    server.call("move_disk", { guest, disk, storage, wait_s: 600, ...more });

  test("of a running VM keeps the old volume as unused", async () => {
    const { data, text } = await move("web-1", "scsi0", "nfs-shared");
    expect(data).toMatchObject({ vmid: 101, changed: true, disk: "scsi0", task: { state: "ok" } });
    expect(text).toContain("the old volume stays as an unused disk");
    expect(lines()).toEqual(["POST /nodes/pve1/qemu/101/move_disk"]);
    expect(world(101).config).toMatchObject({
      scsi0: "nfs-shared:101/vm-101-disk-0.raw,discard=on,iothread=1,size=20G,ssd=1",
      unused0: "local-lvm:vm-101-disk-0",
    });
    expect(world(101).run.status).toBe("running");
  });

  test("deletes the old volume where that is asked for", async () => {
    await move("web-1", "scsi0", "nfs-shared", { delete_source: true });
    expect(world(101).config["unused0"]).toBeUndefined();
    expect(volume("pve1/local-lvm:vm-101-disk-0")).toBeUndefined();
    const again = await move("web-1", "scsi0", "nfs-shared");
    expect(again.data["changed"]).toBe(false);
    expect(sent()).toHaveLength(1);
  });

  test("of a container only while it is stopped", async () => {
    const running = await move("dns-1", "rootfs", "nfs-shared");
    expect(running.kind).toBe("conflict");
    expect(running.text).toContain('stop_guest {guest: "200"}');
    expect(sent()).toEqual([]);
    const { data } = await move("lxc/311", "rootfs", "nfs-shared", { delete_source: true });
    expect(data).toMatchObject({ vmid: 311, changed: true });
    expect(sent()[0]?.body).toMatchObject({ volume: "rootfs", storage: "nfs-shared", delete: "1" });
    expect(world(311).config["rootfs"]).toMatch(/^nfs-shared:311\/vm-311-disk-0/);
    expect(world(311).config["lock"]).toBeUndefined();
  });

  test("knows storages that are not there or hold no disks", async () => {
    const missing = await move("web-1", "scsi0", "nfs-shard");
    expect(missing.kind).toBe("not_found");
    expect(missing.text).toContain("nfs-shared");
    const wrong = await move("web-1", "scsi0", "local");
    expect(wrong.kind).toBe("invalid_input");
    expect(wrong.facts["storages"]).toEqual(["local-lvm", "nfs-shared"]);
    expect((await move("files-1", "scsi0", "nfs-shared")).kind).toBe("locked");
    expect(sent()).toEqual([]);
  });

  test("fails in its task when the storage goes away meanwhile", async () => {
    const begun = server.begin("move_disk", {
      guest: "web-1",
      disk: "scsi0",
      storage: "nfs-shared",
    });
    while (sent().length === 0) await server.clock.advance(1);
    const nfs = server.simulator.world.storages.get("nfs-shared");
    if (nfs) nfs.disabled = true;
    const failed = await server.clock.run(begun);
    expect(failed.kind).toBe("task_failed");
    expect(failed.text).toContain("storage migration failed: storage 'nfs-shared' is disabled");
    expect(world(101).config["scsi0"]).toContain("local-lvm:vm-101-disk-0");
  });
});

describe("attach_disk", () => {
  const attach = (guest: string, args: Record<string, unknown>) =>
    server.call("attach_disk", { guest, ...args });

  test("makes a new disk at the first free place, hot", async () => {
    const { data, text } = await attach("web-1", {
      size: "32G",
      storage: "local-lvm",
      options: "ssd=1,discard=on",
    });
    expect(data).toMatchObject({ vmid: 101, changed: true, disk: "scsi1" });
    expect(data["pending"]).toBeUndefined();
    expect(text).toBe("VM 101 (web-1) on pve1 has a disk of 32G as scsi1.");
    expect(world(101).config["scsi1"]).toBe("local-lvm:vm-101-disk-1,discard=on,size=32G,ssd=1");
    const half = await attach("web-1", { size: "512M", storage: "nfs-shared", slot: "virtio" });
    expect(half.data["disk"]).toBe("virtio0");
    expect(sent().at(-1)?.body).toMatchObject({ virtio0: "nfs-shared:0.5" });
  });

  test("tells what waits for a restart", async () => {
    const { data, text } = await attach("web-1", {
      size: "1G",
      storage: "local-lvm",
      slot: "sata",
    });
    expect(data).toMatchObject({ disk: "sata0", pending: ["sata0"] });
    expect(text).toContain("Waits for a restart: sata0");
  });

  test("tells of a hot-plug that fails, and where the disk is then", async () => {
    world(101).traits.hotplugFails = { scsi1: "no room on the controller" };
    const failed = await attach("web-1", { size: "1G", storage: "local-lvm" });
    expect(failed.kind).toBe("task_failed");
    expect(failed.facts).toMatchObject({ applied: [], pending: ["scsi1"] });
    expect(failed.text).toContain("scsi1 (no room on the controller)");
    world(200).traits.hotplugFails = { mp0: "cannot mount" };
    const args = { size: "1G", storage: "local-lvm", mountpoint: "/srv" };
    expect((await attach("dns-1", args)).kind).toBe("conflict");
  });

  test("at a place that was named makes one disk, however often it is asked for", async () => {
    const args = { size: "4G", storage: "local-lvm", slot: "scsi1" };
    await attach("302", args);
    expect((await attach("302", args)).data).toMatchObject({ changed: false, disk: "scsi1" });
    const other = await attach("302", { ...args, size: "5G" });
    expect(other.kind).toBe("conflict");
    expect(other.text).toContain("detach_disk");
    expect(sent()).toHaveLength(1);
  });

  test("takes an unused disk back, by its key or its volid", async () => {
    await attach("302", { size: "4G", storage: "local-lvm" });
    const volid = "local-lvm:vm-302-disk-1";
    for (const reference of ["unused0", volid]) {
      await server.call("detach_disk", { guest: "302", disk: "scsi1", confirm: "staging-web-2" });
      expect(world(302).config["unused0"]).toBe(volid);
      const { data } = await attach("302", { volume: reference, slot: "virtio3" });
      expect(data["disk"]).toBe("virtio3");
      expect(world(302).config["virtio3"]).toContain(volid);
      expect(world(302).config["unused0"]).toBeUndefined();
      expect((await attach("302", { volume: volid })).data).toMatchObject({ changed: false });
      await server.call("update_guest", { guest: 302, set: { "virtio3.backup": 0 } });
      await server.call("detach_disk", { guest: "302", disk: "virtio3", confirm: "staging-web-2" });
      await attach("302", { volume: "unused0", slot: "scsi1" });
    }
  });

  test("puts an image into an empty CD drive, else into a new one", async () => {
    const volid = "nfs-shared:iso/virtio-win-0.1.285.iso";
    const fresh = await attach("302", { volume: volid });
    expect(fresh.data["disk"]).toBe("ide2");
    expect(world(302).config["ide2"]).toContain(`${volid},media=cdrom`);
    expect((await attach("302", { volume: volid })).data["changed"]).toBe(false);
    await server.call("update_guest", { guest: 310, set: { sata1: "none,media=cdrom" } });
    expect((await attach("qemu/310", { volume: volid })).data["disk"]).toBe("sata1");
    expect((await attach("dns-1", { volume: volid, mountpoint: "/cd" })).kind).toBe(
      "invalid_input",
    );
  });

  test("gives a container a mount point, once", async () => {
    const args = { size: "4G", storage: "local-lvm", mountpoint: "/srv/data" };
    const { data } = await attach("dns-1", args);
    expect(data).toMatchObject({ vmid: 200, type: "lxc", changed: true, disk: "mp0" });
    expect(world(200).config["mp0"]).toBe("local-lvm:vm-200-disk-1,mp=/srv/data,size=4G");
    expect((await attach("dns-1", args)).data).toMatchObject({ changed: false, disk: "mp0" });
    expect((await attach("dns-1", { ...args, size: "8G" })).kind).toBe("conflict");
    const { mountpoint: _, ...nowhere } = args;
    expect((await attach("dns-1", nowhere)).kind).toBe("invalid_input");
    expect(sent()).toHaveLength(1);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["neither a size nor a volume", {}, "invalid_input"],
    ["both", { size: "1G", storage: "local-lvm", volume: "unused0" }, "invalid_input"],
    ["no unit", { size: "32", storage: "local-lvm" }, "invalid_input"],
    ["a bus that is none", { size: "1G", storage: "local-lvm", slot: "nvme0" }, "invalid_input"],
    [
      "a place beyond the last",
      { size: "1G", storage: "local-lvm", slot: "ide4" },
      "invalid_input",
    ],
    ["a place that is taken", { size: "1G", storage: "local-lvm", slot: "scsi0" }, "conflict"],
    [
      "a volume in the options",
      { size: "1G", storage: "local-lvm", options: "file=x" },
      "invalid_input",
    ],
    ["a storage that is not there", { size: "1G", storage: "fast" }, "not_found"],
    ["a storage without disks", { size: "1G", storage: "local" }, "invalid_input"],
    ["an unused disk that is not there", { volume: "unused3" }, "not_found"],
    ["another guest's volume", { volume: "local-lvm:vm-101-disk-0" }, "conflict"],
  ])("refuses %s", async (_, args, kind) => {
    expect((await attach("302", args)).kind).toBe(kind);
    expect(sent()).toEqual([]);
  });

  test("locked, and with dry_run only read", async () => {
    const args = { size: "1G", storage: "local-lvm" };
    expect((await attach("files-1", args)).kind).toBe("locked");
    const dry = await attach("web-1", { ...args, dry_run: true });
    expect(dry.data["plan"]).toMatchObject({ requests: [{ params: { scsi1: "local-lvm:1" } }] });
    expect(sent()).toEqual([]);
  });
});
