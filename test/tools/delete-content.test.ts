import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { type Lab, lab } from "../kit.ts";
import { removals } from "../removals.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const { put, there, remove } = removals(() => server);
const isoVolid = "nfs-shared:iso/virtio-win-0.1.285.iso";
const backup = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";

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

  test("equal calls at once send one request; after its end the file is not found", async () => {
    const mark = server.simulator.log.mark();
    const args = { volume: isoVolid, confirm: isoVolid, wait_s: 0 };
    const both = [
      server.begin("delete_storage_content", args),
      server.begin("delete_storage_content", args),
    ];
    const [first, second] = await server.clock.run(Promise.all(both));
    const third = await server.call("delete_storage_content", args);
    const upid = first?.data["upid"];
    expect(upid).toMatch(/^UPID:pve1:.*:imgdel:/);
    for (const { data, text } of [second, third].flatMap((one) => one ?? [])) {
      expect(data, text).toMatchObject({ upid, status: "being deleted", changed: true });
    }
    const unconfirmed = await server.call("delete_storage_content", { volume: isoVolid });
    expect(unconfirmed.kind).toBe("confirmation_required");
    const waiting = await server.call("delete_storage_content", { ...args, wait_s: 45 });
    expect(waiting.data).toMatchObject({ upid, status: "deleted", task: { state: "ok" } });
    const after = await server.call("delete_storage_content", args);
    expect(after.kind).toBe("not_found");
    const sent = server.simulator.log.since(mark).filter(({ method }) => method === "DELETE");
    expect(sent).toHaveLength(1);
  });

  test("a call that comes just after the end, of which nobody has heard yet, looks again", async () => {
    await remove(isoVolid, { wait_s: 0 });
    await server.clock.advance(150);
    expect(there(isoVolid)).toBe(false);
    put(isoVolid, "");
    expect((await remove(isoVolid)).sent).toHaveLength(1);
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
