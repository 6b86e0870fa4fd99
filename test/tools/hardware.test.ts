import { beforeEach, describe, expect, test } from "vitest";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

const update = (guest: string | number, args: Record<string, unknown>) =>
  server.call("update_guest", { guest, ...args });
const config = (vmid: number) => guestOf(server.simulator.world, vmid).config;
const sent = () => server.simulator.log.changes();

describe("update_guest gives a VM that is there", () => {
  test("EFI and TPM disks, machine, cpu type and display in one request", async () => {
    const set = {
      bios: "ovmf",
      machine: "q35",
      efidisk0: "local-lvm:1,efitype=4m,pre-enrolled-keys=1",
      tpmstate0: "local-lvm:1,version=v2.0",
      cpu: "host",
      vga: "virtio",
      balloon: 0,
    };
    const { kind, text } = await update(302, { set });
    expect(kind, text).toBe("");
    expect(sent()).toHaveLength(1);
    expect(config(302)).toMatchObject({
      bios: "ovmf",
      machine: "q35",
      cpu: "host",
      vga: "virtio",
      balloon: "0",
      efidisk0: expect.stringMatching(/^local-lvm:vm-302-disk-\d,efitype=4m.*size=4M$/),
      tpmstate0: expect.stringMatching(/^local-lvm:vm-302-disk-\d,size=4M,version=v2\.0$/),
    });
  });

  test("a mapped PCI device, and takes the last one away again", async () => {
    await update(302, { set: { hostpci0: "mapping=gpu" } });
    expect(config(302)["hostpci0"]).toBe("mapping=gpu");
    await update(302, { set: { hostpci0: "pcie=1" } });
    expect(config(302)["hostpci0"]).toBe("mapping=gpu,pcie=1");
    const gone = await update(302, { unset: ["hostpci0"] });
    expect(gone.data["changed"]).toBe(true);
    expect(config(302)["hostpci0"]).toBeUndefined();
    expect(sent()).toHaveLength(3);
  });

  test("a cloud-init drive and what it tells, and a boot order, in one request", async () => {
    const set = {
      ide0: "local-lvm:cloudinit",
      ciuser: "ops",
      ipconfig0: "ip=dhcp",
      boot: "order=scsi0;net0",
    };
    const { kind, text } = await update(302, { set });
    expect(kind, text).toBe("");
    expect(sent()).toHaveLength(1);
    expect(config(302)).toMatchObject({
      ide0: expect.stringContaining("cloudinit,media=cdrom"),
      ciuser: "ops",
      ipconfig0: "ip=dhcp",
      boot: "order=scsi0;net0",
    });
  });
});

test("update_guest changes a template, and again sends nothing", async () => {
  const set = { cores: 4, sockets: 2, memory: 4096, ciuser: "debian" };
  expect((await update("debian-13-template", { set })).data["changed"]).toBe(true);
  expect(config(9000)).toMatchObject({ cores: "4", sockets: "2", memory: "4096", template: "1" });
  expect((await update("debian-13-template", { set })).data["changed"]).toBe(false);
  expect(sent()).toHaveLength(1);
});

describe("clone_vm gives every clone of a series mapped PCI devices", () => {
  const vm = "debian-13-template";
  const vmids = (data: Readonly<Record<string, unknown>>) =>
    (data["results"] as { vmid: number }[]).map(({ vmid }) => vmid);

  beforeEach(() => {
    Object.assign(server.simulator.world, { pciMappings: new Set(["gpu", "nic"]) });
  });

  test("in the request that sets it up, before it is started", async () => {
    const args = { vm, name: "ai-1", count: 3, cores: 2, pci: ["gpu", "nic"], start: true };
    const { data } = await server.call("clone_vm", args);
    for (const vmid of vmids(data)) {
      expect(config(vmid)).toMatchObject({
        hostpci0: "mapping=gpu",
        hostpci1: "mapping=nic",
        cores: "2",
      });
      expect(guestOf(server.simulator.world, vmid).run.status).toBe("running");
    }
    expect(server.simulator.log.count({ method: "PUT", path: /config$/ })).toBe(3);
  });

  test("beside those that it inherits, each in a lane of its own on q35", async () => {
    server.simulator.outside.setConfig(9000, { machine: "q35", hostpci0: "mapping=nic,pcie=1" });
    const planned = await server.call("clone_vm", {
      vm,
      name: "ai-1",
      pci: ["gpu"],
      dry_run: true,
    });
    expect(planned.text).toContain('"hostpci1":"mapping=gpu,pcie=1"');
    const { data } = await server.call("clone_vm", { vm, name: "ai-1", pci: ["gpu"] });
    expect(config(Number(data["vmid"]))).toMatchObject({
      hostpci0: "mapping=nic,pcie=1",
      hostpci1: "mapping=gpu,pcie=1",
    });
  });

  test("never raw ones, which are root's: nothing is sent", async () => {
    const refused = await server.call("clone_vm", { vm, name: "ai-1", pci: ["gpu", "01:00.0"] });
    expect(refused).toMatchObject({ kind: "invalid_input", facts: { argument: "pci[1]" } });
    expect(refused.text).toContain("mapping of the cluster");
    expect(sent()).toEqual([]);
  });

  test("one that is not there is told, and the clone stays", async () => {
    const { data, text } = await server.call("clone_vm", {
      vm,
      name: "ai-1",
      pci: ["nope"],
      start: true,
    });
    expect(data).toMatchObject({ status: "stopped", changed: true });
    expect(text).toContain("PCI device mapping not found for 'nope'");
  });
});
