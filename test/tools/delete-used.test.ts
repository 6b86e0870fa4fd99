import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";
import { removals } from "../removals.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const { put, there, guest, remove, inUse } = removals(() => server);
const isoVolid = "nfs-shared:iso/virtio-win-0.1.285.iso";

describe("what is in use stays", () => {
  test("a protected backup", async () => {
    const volid = "nfs-shared:backup/vzdump-qemu-120-2025_12_31-02_00_03.vma.zst";
    const { kind, text, sent } = await remove(volid);
    expect(kind).toBe("conflict");
    expect(text).toContain("protected");
    expect(text).toMatch(
      /`pvesh set \/nodes\/\w+\/storage\/\S+\/content\/\S+:backup\/\S+ --protected 0`/,
    );
    expect(sent).toEqual([]);
    expect(there(volid)).toBe(true);
  });

  test("a disk of a running VM, and of a container", async () => {
    await inUse("local-lvm:vm-101-disk-0", "pve1", /VM 101 \(web-1\) on pve1 uses it as scsi0/);
    await inUse("local-lvm:vm-200-disk-0", "pve1", /container 200 .* uses it as rootfs/);
  });

  test.each([
    ["unused0", "vm-310-disk-5"],
    ["efidisk0", "vm-310-disk-6"],
    ["tpmstate0", "vm-310-disk-7"],
    ["ide2", "vm-310-cloudinit"],
  ])("%s", async (key, name) => {
    const volid = `local-lvm:${name}`;
    put(volid, "pve1", { vmid: 310 });
    guest(310).config[key] = `${volid},size=4M`;
    await inUse(volid, "pve1", new RegExp(`uses it as ${key}`));
  });

  test("a disk whose removal waits for a restart", async () => {
    guest(101).pendingDelete.push("scsi0");
    await inUse("local-lvm:vm-101-disk-0", "pve1", /VM 101 .* uses it as scsi0/);
  });

  test("a disk that only a snapshot needs", async () => {
    const volid = "local-lvm:vm-151-disk-7";
    put(volid, "pve1", { vmid: 151 });
    const [, second] = guest(151).snapshots;
    if (second) Object.assign(second.config, { scsi7: `${volid},size=1G` });
    await inUse(volid, "pve1", /snapshot before-upgrade of VM 151/);
  });

  test("a base with linked clones, also where its template has lost it", async () => {
    const base = "nfs-shared:9000/base-9000-disk-0.qcow2";
    const clone = "nfs-shared:9000/base-9000-disk-0.qcow2/400/vm-400-disk-0.qcow2";
    const alone = await inUse(base, "", /VM 9000 .* uses it as scsi0/);
    expect(alone).toContain("It goes with the template, if that is no longer wanted: delete_guest");
    expect(alone).not.toContain("out of there");
    put(clone, "", { vmid: 400, parent: base });
    const both = await inUse(base, "", /is a linked clone.*VM 9000 .* uses it as scsi0/);
    expect(both).toMatch(
      /linked clones first, then the template.*: delete_guest \{guest: "9000"\}/,
    );
    server.simulator.outside.destroy(9000);
    put(base, "", { vmid: 9000 });
    const text = await inUse(base, "", /vm-400-disk-0.qcow2 is a linked clone/);
    expect(text).toContain("Delete its linked clones first");
  });

  test("a base that a clone tells of as parent only", async () => {
    const base = "nfs-shared:800/base-800-disk-0.qcow2";
    put(base, "", { vmid: 800 });
    put("nfs-shared:801/vm-801-disk-0.qcow2", "", {
      vmid: 801,
      parent: "../800/base-800-disk-0.qcow2",
    });
    await inUse(base, "", /vm-801-disk-0.qcow2 is a linked clone/);
  });

  test("a base that a clone tells of by its name only", async () => {
    const base = "nfs-shared:800/base-800-disk-0.qcow2";
    put(base, "", { vmid: 800 });
    put(`${base}/801/vm-801-disk-0.qcow2`, "", { vmid: 801 });
    await inUse(base, "", /vm-801-disk-0.qcow2 is a linked clone/);
  });

  test("an ISO image in anybody's drive", async () => {
    guest(140).config["ide2"] = `${isoVolid},media=cdrom,size=754M`;
    await inUse(isoVolid, "", /VM 140 \(legacy-erp\) on pve3 uses it as ide2/);
  });

  test("a snippet of anybody's cloud-init", async () => {
    const volid = "local:snippets/user.yaml";
    put(volid, "pve1", { content: "snippets" });
    guest(101).config["cicustom"] = `user=${volid}`;
    await inUse(volid, "pve1", /VM 101 .* uses it as cicustom/);
  });

  test("a disk of one guest that another uses", async () => {
    const volid = "local-lvm:vm-101-disk-4";
    put(volid, "pve1", { vmid: 101 });
    guest(310).config["scsi4"] = `${volid},size=1G`;
    await inUse(volid, "pve1", /VM 310 .* uses it as scsi4/);
  });

  test("what nobody uses any more goes, its owner there or not", async () => {
    put("local-lvm:vm-101-disk-9", "pve1", { vmid: 101 });
    put("local-lvm:vm-777-disk-0", "pve1", { vmid: 777 });
    expect((await remove("local-lvm:vm-101-disk-9")).data["changed"]).toBe(true);
    expect((await remove("local-lvm:vm-777-disk-0")).data["changed"]).toBe(true);
    expect(there("local-lvm:vm-777-disk-0", "pve1")).toBe(false);
    expect(there("local-lvm:vm-101-disk-0", "pve1")).toBe(true);
  });
});
