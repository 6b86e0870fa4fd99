import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const iso = "local:iso/debian-13.2.0-amd64-netinst.iso";
const disks = ["local-lvm:8"];

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const create = (args: Record<string, unknown>) =>
  server.call("create_vm", { name: "new-1", ...args });
const container = (args: Record<string, unknown>) =>
  server.call("create_container", {
    name: "new-1",
    template: "debian-13-standard",
    rootfs: "local-lvm:8",
    ...args,
  });
const guest = (vmid: unknown) => server.simulator.world.guests.get(Number(vmid));

describe("no drive takes another's place", () => {
  test("cloud-init, where a disk has the place that is usually its own", async () => {
    const { data } = await create({ disks: [...disks, "ide2=local-lvm:9"], user: "bob" });
    expect(guest(data["vmid"])?.config).toMatchObject({
      scsi0: expect.stringContaining("size=8G"),
      ide2: expect.stringContaining("size=9G"),
      ide0: expect.stringContaining("cloudinit"),
    });
  });

  test("a CD, where a disk is, and what starts first", async () => {
    const { data } = await create({ disks: ["ide2=local-lvm:9"], iso, user: "bob" });
    expect(guest(data["vmid"])?.config).toMatchObject({
      ide2: expect.stringContaining("size=9G"),
      ide0: expect.stringContaining(`${iso},media=cdrom`),
      ide3: expect.stringContaining("cloudinit"),
      boot: "order=ide2;ide0",
    });
  });

  test("a disk without a number leaves those of the options alone", async () => {
    const { data } = await create({ disks, options: { scsi0: "local-lvm:4", cdrom: "none" } });
    expect(guest(data["vmid"])?.config).toMatchObject({
      scsi0: expect.stringContaining("size=4G"),
      scsi1: expect.stringContaining("size=8G"),
    });
    const { data: other } = await container({
      name: "new-2",
      mounts: ["local-lvm:1,mp=/a"],
      options: { mp0: "local-lvm:2,mp=/b" },
    });
    expect(guest(other["vmid"])?.config).toMatchObject({
      mp0: expect.stringContaining("mp=/b"),
      mp1: expect.stringContaining("mp=/a"),
    });
  });

  test.each([
    [
      "the same drive as disk and option",
      { disks: ["scsi0=local-lvm:8"], options: { scsi0: "local-lvm:4" } },
    ],
    ["no place for the CD", { disks: [0, 1, 2, 3].map((index) => `ide${index}=local-lvm:1`), iso }],
  ])("%s: invalid_input", async (_, args) => {
    expect((await create(args)).kind).toBe("invalid_input");
    expect(server.simulator.log.changes()).toEqual([]);
  });
});

describe("volumes among the options are looked at as those of disks are", () => {
  test.each([
    ["another's disk", { scsi1: "local-lvm:vm-101-disk-0" }, /^conflict.*guest 101.*import-from/s],
    ["another's EFI disk", { efidisk0: "local-lvm:vm-101-disk-0,efitype=4m" }, /^conflict/],
    ["a CD that is not there", { ide2: "local:iso/nope.iso,media=cdrom" }, /^not_found.*nope/s],
    [
      "an image that is not there",
      { scsi1: "local-lvm:0,import-from=local:import/x.raw" },
      /^not_/,
    ],
    ["a storage of other content", { scsi1: "local:8" }, /^invalid_input.*images/s],
    ["a device of the host", { scsi1: "/dev/sdb" }, /^invalid_input.*root@pam/s],
  ])("%s", async (_, options, text) => {
    const answer = await create({ disks, options });
    expect(`${answer.kind}: ${answer.text}`).toMatch(text);
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("a CD that is there may be anybody's", async () => {
    const { data } = await create({ disks, options: { ide2: `${iso},media=cdrom` } });
    expect(guest(data["vmid"])?.config["ide2"]).toContain(iso);
  });

  test.each([
    ["another's volume", { mounts: ["local-lvm:vm-101-disk-0,mp=/x"] }, /^conflict.*guest 101/s],
    ["the same by option", { options: { mp3: "local-lvm:vm-101-disk-0,mp=/x" } }, /^conflict/],
    ["a folder of the host", { mounts: ["/mnt/x,mp=/x"] }, /^invalid_input.*root@pam/s],
    ["privileged by option", { options: { unprivileged: "0" } }, /^invalid_input.*unprivileged/s],
  ])("of a container: %s", async (_, args, text) => {
    const answer = await container(args);
    expect(`${answer.kind}: ${answer.text}`).toMatch(text);
    expect(server.simulator.log.changes()).toEqual([]);
  });
});

test("an address without a NIC: invalid_input", async () => {
  const answer = await create({ disks, nics: ["vmbr0"], ips: ["dhcp", "192.0.2.5/24"] });
  expect(answer.kind).toBe("invalid_input");
  expect(answer.facts["argument"]).toBe("ips[1]");
  const net1 = { net1: "virtio,bridge=vmbr0" };
  const { data } = await create({ disks, nics: ["vmbr0"], ips: ["dhcp", "dhcp"], options: net1 });
  expect(guest(data["vmid"])?.config["ipconfig1"]).toBe("ip=dhcp");
});

test.each(["constructor", "constructor0", "toString"])(
  "an option that only objects have is unknown: %s",
  async (key) => {
    const { kind, text } = await create({ disks, options: { [key]: "1" } });
    expect(kind).toBe("invalid_input");
    expect(text).toContain(`Proxmox knows no option ${key}.`);
    expect(text).not.toContain("native code");
  },
);

describe("values among the options are looked at before anything is sent", () => {
  test.each([
    [{ ipconfig0: "ip=10.0.0.999/24" }, "options.ipconfig0"],
    [{ ipconfig0: "ip=192.0.2.5" }, "options.ipconfig0"],
    [{ ipconfig1: "gw=192.0.2.1" }, "options.ipconfig1"],
    [{ boot: "order=scsi0;scsi9" }, "options.boot"],
  ])("of a VM: %j", async (options, argument) => {
    const { kind, facts } = await create({ disks, options });
    expect({ kind, argument: facts["argument"] }).toEqual({ kind: "invalid_input", argument });
    expect(server.simulator.log.count({ path: /nextid|qemu/ })).toBe(0);
  });

  test("what starts first is there", async () => {
    const { kind, text, facts } = await create({ disks, nics: ["vmbr0"], boot: ["scsi1"] });
    expect({ kind, argument: facts["argument"] }).toEqual({
      kind: "invalid_input",
      argument: "boot",
    });
    expect(text).toContain("scsi1. Nothing was sent. Use its devices: net0, scsi0.");
    const options = { cdrom: `${iso},media=cdrom`, boot: "order=ide2;scsi0", ipconfig0: "ip=dhcp" };
    const made = await create({ disks, options });
    expect(guest(made.data["vmid"])?.config).toMatchObject({
      boot: "order=ide2;scsi0",
      ipconfig0: "ip=dhcp",
    });
  });

  test.each([
    [{ net0: "name=eth0,bridge=vmbr0,ip=10.0.0.300/24" }, "options.net0"],
    [{ nameserver: "192.0.2.256" }, "options.nameserver"],
  ])("of a container: %j", async (options, argument) => {
    const { kind, facts } = await container({ options });
    expect({ kind, argument: facts["argument"] }).toEqual({ kind: "invalid_input", argument });
    expect(server.simulator.log.changes()).toEqual([]);
  });
});
