import { describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

const vm = (vmid: number, node: string) => `/nodes/${node}/qemu/${vmid}`;
const ct = (vmid: number, node: string) => `/nodes/${node}/lxc/${vmid}`;

describe("resize", () => {
  const path = vm(302, "pve2");

  test("of a VM finds its faults in the task", async () => {
    const pve = host();
    const ended = (form: Record<string, string>) => pve.outcome(pve.put(`${path}/resize`, form));
    expect(await ended({ disk: "scsi0", size: "1G" })).toBe("shrinking disks is not supported");
    expect(await ended({ disk: "scsi9", size: "+1G" })).toBe("disk 'scsi9' does not exist");
    expect(await ended({ disk: "scsi0", size: "+1G", digest: "0" })).toBe(
      "checksum mismatch (file change by other user?)",
    );
    expect(await ended({ disk: "scsi0", size: "16G" })).toBe("OK");
    pve.simulator.outside.lock(302, "backup");
    expect(await ended({ disk: "scsi0", size: "+1G" })).toBe("VM is locked (backup)");
    const { body } = await pve.put(`${path}/resize`, { disk: "unused0", size: "+1G" });
    expect(body?.["errors"]).toHaveProperty("disk");
  });

  test("of a container before it", async () => {
    const pve = host();
    const reason = async (form: Record<string, string>) =>
      (await pve.put(`${ct(311, "pve3")}/resize`, form)).reason;
    expect(await reason({ disk: "rootfs", size: "1G" })).toBe("unable to shrink disk size");
    expect(await reason({ disk: "rootfs", size: "16G" })).toBe("disk is already at specified size");
    expect(await reason({ disk: "rootfs", size: "+1G", digest: "0" })).toBe(
      "detected modified configuration - file changed by other user? Try again.",
    );
    expect(
      await pve.outcome(pve.put(`${ct(311, "pve3")}/resize`, { disk: "rootfs", size: "+1G" })),
    ).toBe("OK");
    expect(pve.simulator.world.guests.get(311)?.config["rootfs"]).toContain("size=17G");
  });
});

describe("move_disk and move_volume", () => {
  const move = `${vm(302, "pve2")}/move_disk`;

  test("refuse at once what is wrong with the disk", async () => {
    const pve = host();
    const reason = async (path: string, form: Record<string, string | number>) =>
      (await pve.post(path, form)).reason;
    expect(await reason(move, { disk: "scsi0", storage: "local-lvm" })).toBe(
      "you can't move to the same storage with same format",
    );
    const wiki = { disk: "scsi0", storage: "nfs-shared", delete: 1 };
    expect(await reason(`${vm(151, "pve1")}/move_disk`, wiki)).toBe(
      "you can't move a disk with snapshots and delete the source",
    );
    const container = `${ct(200, "pve1")}/move_volume`;
    expect(await reason(container, { volume: "rootfs", storage: "nfs-shared" })).toBe(
      "cannot move volumes of a running container",
    );
    const unused = { volume: "unused0", storage: "nfs-shared" };
    expect(await reason(`${ct(311, "pve3")}/move_volume`, unused)).toContain(
      "only configured volumes can be moved",
    );
  });

  test("find the rest in the task", async () => {
    const pve = host();
    const ended = (form: Record<string, string>) => pve.outcome(pve.post(move, form));
    expect(await ended({ disk: "scsi9", storage: "nfs-shared" })).toBe(
      "disk 'scsi9' does not exist",
    );
    expect(await ended({ disk: "scsi0", storage: "nope" })).toBe(
      "storage migration failed: storage 'nope' does not exist",
    );
    expect(await ended({ disk: "scsi0", storage: "local" })).toBe(
      "storage migration failed: storage 'local' does not support content-type 'images'",
    );
    pve.simulator.outside.lock(302, "backup");
    expect(await ended({ disk: "scsi0", storage: "nfs-shared" })).toBe("VM is locked (backup)");
  });

  test("a container is locked meanwhile", async () => {
    const pve = host();
    const path = ct(311, "pve3");
    const form = { volume: "rootfs", storage: "nfs-shared" };
    const { data: upid } = await pve.post(`${path}/move_volume`, form);
    expect((await pve.get(`${path}/config`)).data.lock).toBe("disk");
    expect((await pve.post(`${path}/move_volume`, form)).reason).toBe("CT is locked (disk)");
    expect(await pve.settle(upid)).toBe("OK");
    const { data } = await pve.get(`${path}/config`);
    expect(data.lock).toBeUndefined();
    expect(data.unused0).toBe("local-lvm:vm-311-disk-0");
  });

  test("need the privilege on the guest first, then on the storage", async () => {
    const pve = host();
    const denied = await pve.post(move, { disk: "scsi0", storage: "nfs-shared" }, auditorToken);
    expect(denied.reason).toBe("Permission check failed (/vms/302, VM.Config.Disk)");
  });

  test("interrupted: no copy stays", async () => {
    const pve = host();
    const before = pve.simulator.world.volumes.size;
    const { data: upid } = await pve.post(move, { disk: "scsi0", storage: "nfs-shared" });
    await pve.clock.advance(3_000);
    await pve.del(`/nodes/pve2/tasks/${encodeURIComponent(upid)}`);
    await pve.settle(upid);
    expect(pve.simulator.world.volumes.size).toBe(before);
    expect(pve.simulator.world.guests.get(302)?.config["scsi0"]).toContain("local-lvm:");
  });
});

test("a template is refused for a locked guest before the task", async () => {
  const pve = host();
  pve.simulator.outside.lock(302, "backup");
  const { status, reason } = await pve.post(`${vm(302, "pve2")}/template`);
  expect([status, reason]).toEqual([500, "VM is locked (backup)"]);
});

describe("a base volume that linked clones live on", () => {
  const volid = "nfs-shared:9000/base-9000-disk-0.qcow2";
  const inUse = "base volume '9000/base-9000-disk-0.qcow2' is still in use by linked cloned";

  test("is not freed, by force or as an unused disk, and not after a move", async () => {
    const pve = host();
    const template = vm(9000, "pve1");
    const there = () => pve.simulator.world.volumes.has(`/${volid}`);
    await pve.outcome(pve.post(`${template}/clone`, { newid: 400, full: 0 }));
    const forced = { delete: "scsi0", force: 1 };
    expect(await pve.outcome(pve.post(`${template}/config`, forced))).toBe(inUse);
    const move = { disk: "scsi0", storage: "local-lvm", delete: 1 };
    expect(await pve.outcome(pve.post(`${template}/move_disk`, move))).toBe("WARNINGS: 1");
    const guest = pve.simulator.world.guests.get(9000);
    expect(guest?.config["unused0"]).toBe(volid);
    expect(await pve.outcome(pve.post(`${template}/config`, { delete: "unused0" }))).toBe(inUse);
    expect(there()).toBe(true);
    await pve.outcome(pve.request("DELETE", vm(400, "pve1")));
    expect(await pve.outcome(pve.post(`${template}/config`, { delete: "unused0" }))).toBe("OK");
    expect(there()).toBe(false);
  });
});
