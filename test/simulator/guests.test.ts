import { describe, expect, test } from "vitest";
import { stagingToken } from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

const vm = (vmid: number, node: string) => `/nodes/${node}/qemu/${vmid}`;
const ct = (vmid: number, node: string) => `/nodes/${node}/lxc/${vmid}`;

describe("clone", () => {
  const template = vm(9000, "pve1");
  test("is refused in PVE's words", async () => {
    const pve = host();
    const refused = async (path: string, form: Record<string, string | number>) =>
      (await pve.post(`${path}/clone`, form)).reason;
    expect(await refused(template, { newid: 101 })).toBe(
      "unable to create VM 101: config file already exists",
    );
    expect(await refused(template, { newid: 500, storage: "local-lvm" })).toBe(
      "parameter 'storage' not allowed for linked clones",
    );
    expect(await refused(vm(310, "pve1"), { newid: 500, full: 0 })).toBe(
      "Linked clone feature is not supported for 'local-lvm:vm-310-disk-0' (scsi0)",
    );
    expect(await refused(vm(310, "pve1"), { newid: 500, target: "pve2" })).toBe(
      "can't clone VM to node 'pve2' (VM uses local storage)",
    );
    expect(
      await refused(template, { newid: 500, full: 1, target: "pve2", storage: "local-lvm" }),
    ).toBe("can't clone to non-shared storage 'local-lvm'");
    expect(await refused(template, { newid: 500, full: 1, storage: "nope" })).toBe(
      "storage 'nope' does not exist",
    );
    expect(await refused(vm(150, "pve2"), { newid: 500 })).toBe("VM is locked (backup)");
    expect(await refused(template, { newid: 500, target: "nope" })).toBe(
      "no such cluster node 'nope'",
    );
    expect(await refused(template, { newid: 500, snapname: "nope" })).toBe(
      "snapshot 'nope' does not exist",
    );
    expect(await refused(template, { newid: 500, pool: "nope" })).toBe(
      "Permission check failed (pool 'nope' does not exist)",
    );
    expect(await refused(ct(200, "pve1"), { newid: 500 })).toBe(
      "Full clone of a running container is only possible from a snapshot",
    );
  });

  test("full: progress in the log, a name of its own, a new MAC, in its pool, on its target", async () => {
    const pve = host();
    const form = { newid: 500, name: "web-4", full: 1, target: "pve3", pool: "staging" };
    const { data: upid } = await pve.post(`${template}/clone`, form);
    await pve.clock.advance(5000);
    const lines = await pve.lines(upid);
    expect(lines.at(-1)).toMatch(/^transferred \d\.\d GiB of 8\.0 GiB \(\d+\.\d\d%\)$/);
    expect((await pve.row(500)).node).toBe("pve1");
    expect(await pve.settle(upid)).toBe("OK");
    expect(await pve.row(500)).toMatchObject({ node: "pve3", pool: "staging" });
    const { data } = await pve.get(`${vm(500, "pve3")}/config`);
    expect(data.name).toBe("web-4");
    expect(data.scsi0).toMatch(/^nfs-shared:500\/vm-500-disk-0\.qcow2,.*size=8G/);
    expect(data.ide2).toMatch(/^nfs-shared:500\/vm-500-cloudinit/);
    expect(data.net0).not.toBe((await pve.get(`${template}/config`)).data.net0);
    expect(data.template).toBeUndefined();
  });

  test("interrupted: nothing of it stays", async () => {
    const pve = host();
    const volumes = pve.simulator.world.volumes.size;
    const { data: upid } = await pve.post(`${template}/clone`, { newid: 500, full: 1 });
    await pve.clock.advance(3000);
    const stopped = await pve.del(`/nodes/pve1/tasks/${encodeURIComponent(upid)}`);
    expect(stopped).toMatchObject({ status: 200, data: null });
    expect(await pve.settle(upid)).toMatch(/^clone failed: copy failed: .*interrupted by signal$/);
    expect(await pve.row(500)).toBeUndefined();
    expect(pve.simulator.world.volumes.size).toBe(volumes);
  });

  test("onto a storage that is disabled meanwhile: fails in its task", async () => {
    const pve = host();
    const volumes = pve.simulator.world.volumes.size;
    const form = { newid: 500, full: 1, storage: "local-lvm" };
    const { data: upid } = await pve.post(`${template}/clone`, form);
    const storage = pve.simulator.world.storages.get("local-lvm");
    if (storage) storage.disabled = true;
    expect(await pve.settle(upid)).toBe("clone failed: storage 'local-lvm' is disabled");
    expect(await pve.row(500)).toBeUndefined();
    expect(pve.simulator.world.volumes.size).toBe(volumes);
  });

  test("two at once for one id: the loser fails in its task", async () => {
    const pve = host();
    const first = await pve.post(`${template}/clone`, { newid: 500 });
    const second = await pve.post(`${template}/clone`, { newid: 500 });
    expect([first.status, second.status]).toEqual([200, 200]);
    const ends = [await pve.settle(first.data), await pve.settle(second.data)];
    expect(ends).toContain("unable to create VM 500: config file already exists");
    expect(ends).toContain("OK");
  });

  test("of a container takes the id at once and locks the source", async () => {
    const pve = host();
    const path = ct(9001, "pve2");
    const { data: upid } = await pve.post(`${path}/clone`, {
      newid: 501,
      hostname: "new-ct",
      full: 1,
    });
    expect(await pve.row(501)).toMatchObject({ lock: "create", status: "unknown" });
    expect((await pve.post(`${path}/clone`, { newid: 502 })).reason).toBe("CT is locked (disk)");
    expect(await pve.settle(upid)).toBe("OK");
    expect((await pve.get(`${ct(501, "pve2")}/config`)).data.hostname).toBe("new-ct");
    expect((await pve.get(`${path}/config`)).data.lock).toBeUndefined();
  });
});

describe("delete", () => {
  test("is refused at once for running, protected and HA guests, and in the task for locked ones", async () => {
    const pve = host();
    const refused = async (path: string) => (await pve.del(path)).reason;
    expect(await refused(vm(101, "pve1"))).toBe("VM 101 is running - destroy failed");
    expect(await refused(vm(120, "pve1"))).toBe("can't remove VM 120 - protection mode enabled");
    expect(await refused(ct(200, "pve1"))).toBe("unable to destroy CT 200 - container is running");
    expect(await refused(vm(152, "pve2"))).toBe(
      "unable to remove VM 152 - used in HA resources and purge parameter not set.",
    );
    expect(await refused(vm(999, "pve1"))).toBe(
      "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist",
    );
    pve.simulator.outside.lock(302, "backup");
    expect(await pve.outcome(pve.del(vm(302, "pve2")))).toBe("VM is locked (backup)");
  });

  test("of a template fails while a linked clone lives", async () => {
    const pve = host();
    await pve.outcome(pve.post(`${vm(9000, "pve1")}/clone`, { newid: 500 }));
    expect(await pve.outcome(pve.del(vm(9000, "pve1")))).toBe(
      "base volume 'nfs-shared:9000/base-9000-disk-0.qcow2' is still in use by linked cloned",
    );
    await pve.outcome(pve.del(vm(500, "pve1")));
    expect(await pve.outcome(pve.del(vm(9000, "pve1")))).toBe("OK");
  });

  test("takes volumes and pool membership along", async () => {
    const pve = host();
    expect(await pve.outcome(pve.del(vm(302, "pve2"), { purge: 1 }))).toBe("OK");
    const { volumes, pools } = pve.simulator.world;
    expect([...volumes.values()].some(({ vmid }) => vmid === 302)).toBe(false);
    expect(pools.get("staging")?.vmids.has(302)).toBe(false);
  });
});

describe("config", () => {
  const path = `${vm(302, "pve2")}/config`;
  test("is guarded by its digest, in words that differ by type", async () => {
    const pve = host();
    const { digest } = (await pve.get(path)).data;
    expect((await pve.put(path, { cores: 4, digest })).status).toBe(200);
    expect((await pve.put(path, { cores: 2, digest })).reason).toBe(
      "checksum mismatch (file change by other user?)",
    );
    expect((await pve.put(`${ct(200, "pve1")}/config`, { memory: 600, digest })).reason).toBe(
      "detected modified configuration - file changed by other user? Try again.",
    );
  });

  test("refuses nothing at all, unknown options, root's options and locked guests", async () => {
    const pve = host();
    expect((await pve.put(path)).reason).toBe("no options specified");
    expect((await pve.put(path, { delete: "nosuch" })).body?.["errors"]).toEqual({
      delete: "unknown option 'nosuch'",
    });
    expect((await pve.put(path, { delete: "hookscript" })).reason).toBe(
      "only root can set 'hookscript' config",
    );
    expect((await pve.put(`${vm(150, "pve2")}/config`, { cores: 2 })).reason).toBe(
      "VM is locked (backup)",
    );
  });

  test("of a running VM waits as pending where it cannot be hot-plugged", async () => {
    const pve = host();
    const running = vm(101, "pve1");
    await pve.put(`${running}/config`, { memory: 8192, description: "front" });
    expect((await pve.get(`${running}/config`)).data.memory).toBe("8192");
    expect((await pve.get(`${running}/config`, { current: 1 })).data.memory).toBe("4096");
    const { data } = await pve.get(`${running}/pending`);
    expect(data).toContainEqual({ key: "memory", value: "4096", pending: "8192" });
    expect(data).toContainEqual({ key: "description", value: "front" });
    await pve.put(`${running}/config`, { revert: "memory" });
    expect((await pve.get(`${running}/config`)).data.memory).toBe("4096");
  });

  test("allocates disks, detaches them to unused, and destroys what is unused", async () => {
    const pve = host();
    await pve.put(path, { scsi1: "local-lvm:4,discard=on" });
    expect((await pve.get(path)).data.scsi1).toBe("local-lvm:vm-302-disk-1,discard=on,size=4G");
    await pve.put(path, { delete: "scsi1" });
    expect((await pve.get(path)).data.unused0).toBe("local-lvm:vm-302-disk-1");
    await pve.put(path, { delete: "unused0" });
    expect(pve.simulator.world.volumes.has("pve2/local-lvm:vm-302-disk-1")).toBe(false);
    expect((await pve.put(path, { scsi1: "nope:1" })).reason).toBe("storage 'nope' does not exist");
  });

  test("in the background is a task, and a VM's change stands in the cluster log", async () => {
    const pve = host();
    const { data: upid } = await pve.post(path, { cores: 4, tags: "a" });
    expect(await pve.settle(upid)).toBe("OK");
    expect(await pve.lines(upid)).toEqual(["update VM 302: -cores 4 -tags a", "TASK OK"]);
    const { data: log } = await pve.get("/cluster/log", { max: 3 });
    expect(log[0].msg).toBe(`end task ${upid} OK`);
    expect(log[1]).toMatchObject({ msg: "update VM 302: -cores 4 -tags a", node: "pve2", pri: 6 });
    expect(typeof log[0].uid).toBe("string");
  });
});

describe("inside a guest", () => {
  test("the agent tells addresses and system, or why it cannot", async () => {
    const pve = host();
    const path = (vmid: number, node: string) => `${vm(vmid, node)}/agent/network-get-interfaces`;
    const { result } = (await pve.get(path(101, "pve1"))).data;
    expect(result[1]["ip-addresses"][0]).toEqual({
      "ip-address": "192.0.2.101",
      "ip-address-type": "ipv4",
      prefix: 24,
    });
    expect((await pve.get(path(302, "pve2"))).reason).toBe("VM 302 is not running");
    expect((await pve.get(path(131, "pve3"))).reason).toBe("QEMU guest agent is not running");
    pve.simulator.outside.setConfig(101, { agent: undefined });
    expect((await pve.get(path(101, "pve1"))).reason).toBe("No QEMU guest agent configured");
    const { data } = await pve.get(`${ct(200, "pve1")}/interfaces`);
    expect(data[1]["ip-addresses"][0].prefix).toBe("24");
    expect((await pve.get(`${ct(311, "pve3")}/interfaces`)).data).toBeNull();
  });

  test("snapshots are listed with `current`, which is none", async () => {
    const pve = host();
    const { data } = await pve.get(`${vm(151, "pve1")}/snapshot`);
    expect(data.map(({ name }: { name: string }) => name).sort()).toEqual([
      "before-upgrade",
      "clean-install",
      "current",
    ]);
    const current = data.find(({ name }: { name: string }) => name === "current");
    expect(current).toMatchObject({ running: 1, parent: "before-upgrade" });
  });
});

test("a pool's role reaches its guests and nothing else", async () => {
  const pve = host();
  const { data } = await pve.get("/cluster/resources", { type: "vm" }, stagingToken);
  expect(data.every(({ pool }: { pool?: string }) => pool === undefined)).toBe(true);
  const vmids = data.map(({ vmid }: { vmid: number }) => vmid).sort();
  expect(vmids).toEqual([301, 302, 303, 304, 310, 311]);
});
