import { expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

const nodes = "/nodes/pve1";

test("a VM is created in a task; its config exists, locked, when the answer comes", async () => {
  const pve = host();
  const form = {
    vmid: 600,
    name: "made",
    cores: 2,
    scsi0: "local-lvm:8",
    net0: "virtio,bridge=vmbr0",
  };
  const { data: upid } = await pve.post(`${nodes}/qemu`, { ...form, start: 1 });
  expect(await pve.row(600)).toMatchObject({ lock: "create", status: "unknown" });
  expect(await pve.settle(upid)).toBe("OK");
  const { data } = await pve.get(`${nodes}/qemu/600/config`);
  expect(data).toMatchObject({ name: "made", scsi0: "local-lvm:vm-600-disk-0,size=8G" });
  expect(data.net0).toMatch(/^virtio=BC:24:11:[0-9A-F:]{8},bridge=vmbr0$/);
  expect((await pve.get(`${nodes}/qemu/600/status/current`)).data.status).toBe("running");
});

test("creation is refused in PVE's words", async () => {
  const pve = host();
  const refused = async (form: Record<string, string | number>, kind = "qemu") =>
    (await pve.post(`${nodes}/${kind}`, form)).reason;
  expect(await refused({ vmid: 101 })).toBe(
    "unable to create VM 101 - VM 101 already exists on node 'pve1'",
  );
  expect(await refused({ vmid: 600, scsi0: "nope:1" })).toBe("storage 'nope' does not exist");
  expect(await refused({ vmid: 600, pool: "nope" })).toBe(
    "Permission check failed (pool 'nope' does not exist)",
  );
  const ostemplate = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
  expect(await refused({ vmid: 200, ostemplate, rootfs: "local-lvm:4" }, "lxc")).toBe(
    "CT 200 already exists on node 'pve1'",
  );
  const invalid = await pve.post(`${nodes}/qemu`, { vmid: 5 });
  expect(invalid.body?.["errors"]).toEqual({
    vmid: "invalid format - value does not look like a valid VM ID\n",
  });
  const denied = await pve.post(`${nodes}/qemu`, { vmid: 600 }, auditorToken);
  expect(denied.reason).toBe("Permission check failed");
  const iso = { vmid: 600, ide2: "local:iso/nope.iso,media=cdrom" };
  expect(await pve.outcome(pve.post(`${nodes}/qemu`, iso))).toBe(
    "unable to create VM 600 - volume 'local:iso/nope.iso' does not exist",
  );
  expect(await pve.row(600)).toBeUndefined();
});

test("a guest moves to its new node at the end, and a running VM needs online and its disks named", async () => {
  const pve = host();
  const vm = `${nodes}/qemu/310`;
  const target = "pve3";
  expect((await pve.post(`${vm}/migrate`, { target: "nope" })).reason).toBe(
    "no such cluster node 'nope'",
  );
  expect((await pve.post(`${vm}/migrate`, { target: "pve1" })).body?.["errors"]).toEqual({
    target: "target is local node.",
  });
  expect(await pve.outcome(pve.post(`${vm}/migrate`, { target }))).toBe("OK");
  expect((await pve.row(310)).node).toBe("pve3");
  const running = `${nodes}/qemu/101/migrate`;
  expect((await pve.post(running, { target })).reason).toBe(
    "can't migrate running VM without --online",
  );
  expect(await pve.outcome(pve.post(running, { target, online: 1 }))).toBe("migration aborted");
});

test("disks grow and never shrink", async () => {
  const pve = host();
  const resize = (disk: string, size: string) =>
    pve.outcome(pve.put("/nodes/pve2/qemu/302/resize", { disk, size }));
  expect(await resize("scsi0", "+4G")).toBe("OK");
  expect((await pve.get("/nodes/pve2/qemu/302/config")).data.scsi0).toContain("size=20G");
  expect(await resize("scsi0", "1G")).toBe("shrinking disks is not supported");
  expect(await resize("scsi9", "+1G")).toBe("disk 'scsi9' does not exist");
  const wrong = await pve.put("/nodes/pve2/qemu/302/resize", { disk: "scsi0", size: "big" });
  expect(wrong.body?.["errors"]).toMatchObject({ size: "value does not match the regex pattern" });
});
