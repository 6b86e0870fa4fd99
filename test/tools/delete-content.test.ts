import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import type { Volume } from "../../src/simulator/world.ts";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

afterEach(() => server.close());

const world = () => server.simulator.world;
const isoVolid = "nfs-shared:iso/virtio-win-0.1.285.iso";
const backup = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";

/** A volume of our own making. */
function put(volid: string, node: string, more: Partial<Volume> = {}) {
  const content = volid.includes(":iso/") ? "iso" : "images";
  const figures = { format: "raw", sizeBytes: 1024 ** 3, ctime: 1_767_000_000 };
  world().volumes.set(`${node}/${volid}`, { volid, node, content, ...figures, ...more });
}

const there = (volid: string, node = "") => world().volumes.has(`${node}/${volid}`);

const guest = (vmid: number) => guestOf(world(), vmid);

/** Deletes with the confirmation that is asked for, and what of it was sent. */
async function remove(volume: string, args: Record<string, unknown> = {}) {
  const mark = server.simulator.log.mark();
  const confirm = volume;
  const answer = await server.call("delete_storage_content", { volume, confirm, ...args });
  const sent = server.simulator.log.since(mark).filter(({ method }) => method !== "GET");
  return { ...answer, sent };
}

/** Refused as in use, and still there. */
async function inUse(volid: string, node: string, by: RegExp) {
  const { kind, text, facts, sent } = await remove(volid);
  expect(kind, text).toBe("conflict");
  expect(JSON.stringify(facts["uses"])).toMatch(by);
  expect(sent).toEqual([]);
  expect(there(volid, node)).toBe(true);
}

describe("delete_storage_content", () => {
  test("asks first, and says what is lost", async () => {
    const asked = await server.call("delete_storage_content", { volume: backup });
    expect(asked.kind).toBe("confirmation_required");
    expect(asked.facts["confirm"]).toBe(backup);
    expect(asked.text).toContain("3 GiB of guest 101");
    expect(there(backup)).toBe(true);
    expect((await remove(backup, { confirm: "101" })).kind).toBe("confirmation_required");
  });

  test("deletes a backup", async () => {
    const { data, text, sent } = await remove(backup);
    expect(data).toMatchObject({ volid: backup, node: "pve1", status: "deleted", changed: true });
    expect(data["task"]).toMatchObject({ state: "ok" });
    expect(text).toContain("is deleted");
    expect(sent.map(({ path }) => path)).toEqual([
      `/nodes/pve1/storage/nfs-shared/content/${backup}`,
    ]);
    expect(there(backup)).toBe(false);
  });

  test("deletes an ISO image that nobody has in a drive", async () => {
    const { data } = await remove(isoVolid);
    expect(data["changed"]).toBe(true);
    expect(there(isoVolid)).toBe(false);
  });

  test("what it changes is read anew, the rest stays in memory", async () => {
    const list = { storage: "nfs-shared", content: "iso" };
    await server.call("list_storage", { storage: "local" });
    await server.call("list_storage", list);
    await remove(isoVolid);
    expect((await server.call("list_storage", list)).data["total"]).toBe(0);
    const mark = server.simulator.log.mark();
    await server.call("list_storage", { storage: "local" });
    expect(server.simulator.log.paths(mark).filter((path) => path.includes("local"))).toEqual([]);
  });

  test("with dry_run sends nothing", async () => {
    const { data, text, sent } = await remove(isoVolid, { dry_run: true });
    expect(sent).toEqual([]);
    expect(data).toMatchObject({ status: "present", changed: false });
    expect(text).toContain("DELETE /nodes/pve1/storage/nfs-shared/content/");
  });

  test("takes null for an answer: Proxmox was done at once", async () => {
    const path = /\/content\//;
    server.simulator.faults.reply(
      { status: 200, headers: { "content-type": "application/json" }, body: '{"data":null}' },
      { method: "DELETE", path },
    );
    const { data } = await remove(isoVolid);
    expect(data).toMatchObject({ status: "deleted", changed: true });
    expect(data).not.toHaveProperty("task");
  });

  test("goes on where nobody waits", async () => {
    const { data, text } = await remove(isoVolid, { wait_s: 0 });
    expect(data).toMatchObject({ status: "being deleted", task: { state: "running" } });
    expect(text).toContain("get_tasks");
  });

  test("who may not is told the privilege and the command", async () => {
    const auditor = await lab({ token: auditorToken });
    const answer = await auditor.call("delete_storage_content", {
      volume: isoVolid,
      confirm: isoVolid,
    });
    expect(answer.kind).toBe("forbidden");
    expect(answer.text).toContain("Datastore.Allocate on /storage/nfs-shared");
    expect(answer.text).toContain("pveum acl modify /storage/nfs-shared");
    await auditor.close();
  });
});

describe("which volume is meant", () => {
  test("what no node lists is not_found, though Proxmox would say OK", async () => {
    const { kind, text, sent } = await remove("nfs-shared:iso/virtio-win.iso");
    expect(kind).toBe("not_found");
    expect(text).toContain(isoVolid);
    expect(sent).toEqual([]);
  });

  test("on several nodes it is ambiguous, and node tells which", async () => {
    put("local:iso/same.iso", "pve1");
    put("local:iso/same.iso", "pve3");
    const { kind, facts, sent } = await remove("local:iso/same.iso");
    expect(kind).toBe("ambiguous");
    expect(facts["nodes"]).toEqual(["pve1", "pve3"]);
    expect(sent).toEqual([]);
    expect((await remove("local:iso/same.iso", { node: "pve3" })).data["node"]).toBe("pve3");
    expect(there("local:iso/same.iso", "pve1")).toBe(true);
    expect(there("local:iso/same.iso", "pve3")).toBe(false);
  });

  test("a node that is silent is told where nothing was found", async () => {
    server.simulator.outside.nodeDown("pve2");
    await server.clock.advance(10_001);
    const { kind, text } = await remove("local:iso/nope.iso");
    expect(kind).toBe("not_found");
    expect(text).toContain("pve2");
  });

  test.each([
    ["x.iso", "invalid_input"],
    ["/etc/passwd", "invalid_input"],
    ["nope:iso/x.iso", "not_found"],
    ["local:../../etc/passwd", "not_found"],
  ])("%s is %s", async (volid, kind) => {
    const answer = await remove(volid);
    expect(answer.kind).toBe(kind);
    expect(answer.sent).toEqual([]);
  });
});

describe("what is in use stays", () => {
  test("a protected backup", async () => {
    const volid = "nfs-shared:backup/vzdump-qemu-120-2025_12_31-02_00_03.vma.zst";
    const { kind, text, sent } = await remove(volid);
    expect(kind).toBe("conflict");
    expect(text).toContain("protected");
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
    await inUse(base, "", /VM 9000 .* uses it as scsi0/);
    server.simulator.outside.destroy(9000);
    put(base, "", { vmid: 9000 });
    put(clone, "", { vmid: 400, parent: base });
    await inUse(base, "", /vm-400-disk-0.qcow2 is a linked clone/);
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

describe("what can't be checked", () => {
  test("is said in the question", async () => {
    server.simulator.outside.nodeDown("pve2");
    await server.clock.advance(10_001);
    const { kind, facts } = await server.call("delete_storage_content", { volume: isoVolid });
    expect(kind).toBe("confirmation_required");
    expect(JSON.stringify(facts["lost"])).toMatch(/use not checked for VM 102 .*node offline/);
  });

  test("the owner's own configuration is never guessed", async () => {
    put("nfs-shared:302/vm-302-disk-9.qcow2", "", { vmid: 302 });
    server.simulator.outside.nodeDown("pve2");
    await server.clock.advance(10_001);
    const { kind, sent } = await remove("nfs-shared:302/vm-302-disk-9.qcow2");
    expect(kind).toBe("conflict");
    expect(sent).toEqual([]);
  });

  test("at most four configurations are read at a time, and each but once", async () => {
    let most = 0;
    server.simulator.faults.delay(50, { path: /\/config$/ });
    await server.call("delete_storage_content", { volume: isoVolid });
    const configs = server.simulator.log
      .since(0)
      .filter(({ path }) => path.endsWith("/config"))
      .map(({ path, query }) => `${path} ${JSON.stringify(query)}`);
    expect(new Set(configs).size).toBe(configs.length);
    const times = server.simulator.log
      .since(0)
      .filter(({ path }) => path.endsWith("/config"))
      .map(({ at }) => at);
    for (const at of times) most = Math.max(most, times.filter((other) => other === at).length);
    expect(most).toBeLessThanOrEqual(4);
  });
});
