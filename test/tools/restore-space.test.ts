import { beforeEach, describe, expect, test } from "vitest";
import { StorageUsage } from "../../src/simulator/usage.ts";
import { type Lab, lab, tools } from "../kit.ts";

/** Of VM 101 with a disk of 20 GiB on local-lvm of pve1. */
const web = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";
const gib = 1024 ** 3;
let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
});

function guest(vmid: number) {
  const one = server.simulator.world.guests.get(vmid);
  if (!one) throw new Error(`no guest ${vmid}`);
  return one;
}

function restore(args: Record<string, unknown>) {
  return server.act("restore_backup", { volume: web, wait_s: 600, ...args });
}

/** So much is free on local-lvm of pve1 from now on. */
async function leave(freeBytes: number) {
  const { world } = server.simulator;
  const storage = world.storages.get("local-lvm");
  if (!storage) throw new Error("no local-lvm");
  const overhead = 0.02; // of its size, which the simulator counts as used
  const used = new StorageUsage(world).of(storage, "pve1") - storage.totalBytes * overhead;
  const totalBytes = Math.ceil((used + freeBytes) / (1 - overhead));
  world.storages.set("local-lvm", { ...storage, totalBytes });
  await server.clock.advance(20_000);
}

describe("the room that a restored guest needs", () => {
  test("is asked for before anything is sent", async () => {
    await leave(10 * gib);
    const { kind, text, facts, sent } = await restore({});
    expect(kind).toBe("conflict");
    expect(text).toContain("Storage local-lvm has no room for 20 GiB: at most 10 GiB are free");
    expect(text).toContain("or local-lvm itself, if it may take more than is free");
    expect(facts).toMatchObject({ storage: "local-lvm", neededBytes: 20 * gib });
    expect(sent).toEqual([]);
  });

  test("may be more than is free where the storage is named, and the plan says so", async () => {
    await leave(10 * gib);
    const named = { storage: "local-lvm" };
    const { text } = await restore({ ...named, dry_run: true });
    expect(text).toContain("but only 10 GiB are free on local-lvm for its 20 GiB");
    expect((await restore(named)).data["changed"]).toBe(true);
  });

  test("is no more than all of the storage, named or not", async () => {
    const { archive } = server.simulator.world.volumes.get(`/${web}`) ?? {};
    if (archive) archive.config["scsi0"] = "local-lvm:vm-101-disk-0,size=9000G";
    const { kind, text, sent } = await restore({ storage: "local-lvm" });
    expect(kind).toBe("conflict");
    expect(text).not.toContain("itself");
    expect(sent).toEqual([]);
  });

  test("is asked for where the disks go, not where they were", async () => {
    await leave(10 * gib);
    expect((await restore({ storage: "nfs-shared" })).data["changed"]).toBe(true);
  });

  test("counts what is written over as free, and no more", async () => {
    await leave(10 * gib);
    server.simulator.outside.powerOff(101);
    await server.clock.advance(15_000);
    const over = { guest: "web-1", confirm: "web-1" };
    expect((await restore(over)).data["changed"]).toBe(true);
    const { archive } = server.simulator.world.volumes.get(`/${web}`) ?? {};
    if (archive) archive.config["scsi0"] = "local-lvm:vm-101-disk-0,size=40G";
    const { kind, text, sent } = await restore(over);
    expect(kind).toBe("conflict");
    expect(text).toContain("no room for 20 GiB");
    expect(sent).toEqual([]);
  });
});

describe("the cloud-init drive of a restored VM", () => {
  const drive = "nfs-shared:101/vm-101-cloudinit.qcow2,media=cdrom,size=4M";

  beforeEach(() => {
    const { archive } = server.simulator.world.volumes.get(`/${web}`) ?? {};
    if (archive) archive.config["ide2"] = drive;
  });

  test("is its own, made anew by Proxmox", async () => {
    await restore({});
    expect(guest(100).config["ide2"]).toContain("nfs-shared:100/vm-100-cloudinit.qcow2,");
    const { volumes } = server.simulator.world;
    expect(volumes.has("/nfs-shared:100/vm-100-cloudinit.qcow2")).toBe(true);
    const args = { volume: "nfs-shared:100/vm-100-cloudinit.qcow2", dry_run: true };
    const { text } = await server.call("delete_storage_content", args);
    expect(text).toContain("VM 100 (web-1-restored) on pve1 uses it as ide2");
  });

  test("goes to the storage that is named, with the disks", async () => {
    await restore({ storage: "local-lvm" });
    expect(guest(100).config["ide2"]).toContain("local-lvm:vm-100-cloudinit,");
  });

  test("needs a storage as well, which is told before anything is sent", async () => {
    const { archive } = server.simulator.world.volumes.get(`/${web}`) ?? {};
    if (archive) archive.config["ide2"] = drive.replace("nfs-shared", "old-nfs");
    const { kind, text, sent } = await restore({});
    expect(kind).toBe("conflict");
    expect(text).toContain("pve1 has no storage old-nfs for its disks");
    expect(sent).toEqual([]);
  });

  test("but other CDs are only named again", async () => {
    const { archive } = server.simulator.world.volumes.get(`/${web}`) ?? {};
    const cd = "nfs-shared:iso/virtio-win-0.1.285.iso,media=cdrom";
    if (archive) archive.config["ide2"] = cd;
    await restore({});
    expect(guest(100).config["ide2"]).toContain("nfs-shared:iso/virtio-win-0.1.285.iso");
  });
});
