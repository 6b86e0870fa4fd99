import { describe, expect, test } from "vitest";
import { host } from "./host.ts";

const errorsOf = (body: unknown) => (body as { errors?: Record<string, string> }).errors ?? {};

describe("values of options", () => {
  test.each([
    [{ ipconfig0: "ip=10.0.0.999/24" }],
    [{ ipconfig0: "ip=10.0.0.9" }],
    [{ ipconfig0: "gw=10.0.0.1" }],
    [{ ipconfig0: "ip6=fe80::1" }],
    [{ machine: "banana" }],
    [{ hotplug: "banana" }],
    [{ vga: "banana" }],
    [{ watchdog: "banana" }],
    [{ numa0: "banana" }],
    [{ cicustom: "banana" }],
    [{ cicustom: "user=banana" }],
    [{ nameserver: "banana!" }],
    [{ boot: "order=banana" }],
  ])("of a VM, %j: 400 at that option", async (form) => {
    const { status, body } = await host().put("/nodes/pve2/qemu/302/config", form);
    expect(status).toBe(400);
    expect(Object.keys(errorsOf(body))).toEqual(Object.keys(form));
  });

  test.each([
    [{ net0: "name=eth0,bridge=vmbr0,ip=10.0.0.300/24" }],
    [{ net0: "name=eth0,bridge=vmbr0,hwaddr=banana" }],
    [{ net0: "name=eth0,bridge=vmbr0,ip6=10.0.0.3/24" }],
    [{ nameserver: "banana" }],
  ])("of a container, %j: 400 at that option", async (form) => {
    const { status, body } = await host().put("/nodes/pve3/lxc/311/config", form);
    expect(status).toBe(400);
    expect(Object.keys(errorsOf(body))).toEqual(Object.keys(form));
  });

  test("as guests use them are taken", async () => {
    const pve = host();
    const vm = {
      ipconfig0: "ip=192.0.2.9/24,gw=192.0.2.1,ip6=2001:db8::9/64,gw6=2001:db8::1",
      machine: "pc-q35-9.2+pve1,viommu=intel",
      hotplug: "disk,network;usb",
      vga: "virtio,memory=64",
      watchdog: "model=i6300esb,action=reset",
      numa0: "cpus=0-1;3,memory=1024",
      cicustom: "user=local:snippets/a.yaml",
      nameserver: "192.0.2.1 2001:db8::1",
      boot: "order=scsi0;net0",
    };
    expect((await pve.put("/nodes/pve2/qemu/302/config", vm)).status).toBe(200);
    const net0 = "name=eth0,bridge=vmbr0,ip=dhcp,ip6=auto,hwaddr=BC:24:11:00:00:09";
    const ct = { net0, nameserver: "fe80::1%eth0,192.0.2.1" };
    expect((await pve.put("/nodes/pve3/lxc/311/config", ct)).status).toBe(200);
  });

  test("a boot order names devices that are there, or come with it, and do not go", async () => {
    const pve = host();
    const reason = async (form: Record<string, string>) =>
      (await pve.put("/nodes/pve2/qemu/302/config", form)).reason;
    const missing = "invalid bootorder: device 'scsi9' does not exist'";
    expect(await reason({ boot: "order=scsi9" })).toBe(missing);
    expect(await reason({ boot: "order=net0", delete: "net0" })).toContain("device 'net0'");
    expect(await reason({ boot: "order=scsi9;scsi0", scsi9: "local-lvm:1" })).not.toBe(missing);
    expect(pve.simulator.world.guests.get(302)?.config["boot"]).toBe("order=scsi9;scsi0");
  });

  test("keys that are none: 500", async () => {
    const { status, reason } = await host().put("/nodes/pve2/qemu/302/config", { sshkeys: "no" });
    expect([status, reason]).toEqual([500, "SSH public key validation error"]);
  });

  test("host paths in a container are root's", async () => {
    const form = { mp0: "/mnt/x,mp=/x" };
    const { status, reason } = await host().put("/nodes/pve3/lxc/311/config", form);
    expect(status).toBe(403);
    expect(reason).toContain("mount point type bind is only allowed for root@pam");
  });
});
