import { beforeEach, describe, expect, test } from "vitest";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

const update = (guest: string | number, args: Record<string, unknown>) =>
  server.call("update_guest", { guest, ...args });
const world = (vmid: number) => guestOf(server.simulator.world, vmid);
const untouched = () => expect(server.simulator.log.changes()).toEqual([]);

describe("a disk in set", () => {
  test("of another guest is refused, as attach_disk refuses it", async () => {
    const foreign = "nfs-shared:301/vm-301-disk-0.qcow2";
    const refused = await update(302, { set: { scsi5: foreign } });
    expect(refused.kind).toBe("conflict");
    expect(refused.text).toContain(`does not own ${foreign}`);
    const linked = "nfs-shared:9000/base-9000-disk-0.qcow2/301/vm-301-disk-1.qcow2";
    expect((await update(9000, { set: { scsi5: linked } })).kind).toBe("conflict");
    untouched();
  });

  test("that is attached elsewhere already is refused; images and new disks are not", async () => {
    const own = world(302).config["scsi0"]?.split(",")[0];
    const twice = await update(302, { set: { scsi5: own } });
    expect(twice.kind).toBe("conflict");
    expect(twice.text).toContain("as scsi0 already");
    untouched();
    const iso = "local:iso/debian-13.2.0-amd64-netinst.iso";
    expect((await update(101, { set: { ide2: iso } })).data["changed"]).toBe(true);
    expect((await update(302, { set: { scsi5: "local-lvm:4" } })).data["changed"]).toBe(true);
  });
});

describe("values that Proxmox or the guest could not use", () => {
  test.each([
    [9000, { ipconfig0: "ip=10.0.0.999/24" }, "set.ipconfig0"],
    [9000, { ipconfig0: "gw=10.0.0.1" }, "set.ipconfig0"],
    [9000, { nameserver: "banana!" }, "set.nameserver"],
    [302, { boot: "order=scsi0;scsi9" }, "set.boot"],
    [9000, { sshkeys: "garbage-no-space" }, "set.sshkeys"],
    [311, { "net0.ip": "10.0.0.300/24" }, "set.net0"],
    [311, { nameserver: ["192.0.2.1", "192.0.2.256"] }, "set.nameserver"],
  ])("of %i, %j: invalid_input before anything is sent", async (vmid, set, argument) => {
    const refused = await update(vmid, { set });
    expect(refused.kind).toBe("invalid_input");
    expect(refused.facts).toMatchObject({ argument });
    untouched();
  });

  test("and what they can use is sent", async () => {
    const sshkeys = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExample a+b@c";
    const set = { sshkeys, ipconfig0: "ip=192.0.2.5/24,gw=192.0.2.1", nameserver: "192.0.2.1" };
    expect((await update(9000, { set })).data["changed"]).toBe(true);
    const net0 = { "net0.ip": "192.0.2.6/24", "net0.gw": "192.0.2.1", "net0.ip6": "auto" };
    expect((await update(311, { set: net0 })).data["changed"]).toBe(true);
  });
});

test("a directory of the host in a container is root's, and a volume is offered instead", async () => {
  const refused = await update(311, { set: { mp0: "/mnt/x,mp=/x" } });
  expect(refused.kind).toBe("forbidden");
  expect(refused.text).toContain("root@pam");
  expect(refused.text).toContain("attach_disk");
  expect(world(311).config["mp0"]).toBeUndefined();
});

describe("a new name", () => {
  test("that another guest has is a conflict, for VMs and containers, in the plan too", async () => {
    for (const [vmid, name] of [
      [310, "web-1"],
      [310, "DNS-1"],
      [311, "web-1"],
    ] as const) {
      const refused = await update(vmid, { set: { name } });
      expect(refused.kind).toBe("conflict");
      expect(refused.text).toContain("is called so already");
    }
    const { data } = await update(310, { set: { name: "web-1" }, dry_run: true });
    expect(data["plan"]).toMatchObject({ against: [{ kind: "conflict" }] });
    untouched();
    expect((await update(310, { set: { name: "web-77" } })).data["changed"]).toBe(true);
  });
});

test("neither set nor unset is invalid_input, and says what to give", async () => {
  for (const args of [{}, { set: {} }, { unset: [] }, { set: {}, unset: [] }]) {
    const refused = await update(302, args);
    expect(refused.kind).toBe("invalid_input");
    expect(refused.text).toContain("Give set or unset");
  }
  expect(server.simulator.log.changes()).toEqual([]);
});
