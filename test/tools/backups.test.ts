import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const held = () =>
  [...server.simulator.world.volumes.values()].filter(({ content }) => content === "backup");

/** Calls, and what of it was sent besides reads. */
function create(args: Record<string, unknown>) {
  return server.act("create_backup", args);
}

describe("create_backup", () => {
  test("backs a running VM up, and answers the volid", async () => {
    const args = { guest: "web-1", storage: "nfs-shared", notes: "{{guestname}}:\nC:\\x" };
    const { data, text, sent } = await create({ ...args, protected: true, wait_s: 120 });
    expect(sent.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /nodes/pve1/vzdump",
    ]);
    expect(sent[0]?.body).toEqual({
      vmid: "101",
      storage: "nfs-shared",
      mode: "snapshot",
      compress: "zstd",
      "notes-template": "{{guestname}}:\\nC:\\\\x",
      protected: "1",
    });
    const volid = "nfs-shared:backup/vzdump-qemu-101-2026_01_01-12_00_15.vma.zst";
    expect(data).toMatchObject({ vmid: 101, changed: true, status: "running", volid });
    expect(text).toContain(`VM 101 (web-1) on pve1 is backed up as ${volid}`);
    const made = held().find((volume) => volume.volid === volid);
    expect(made).toMatchObject({ vmid: 101, protected: true, notes: "web-1:\nC:\\x" });
    expect(made?.archive?.config["name"]).toBe("web-1");
    expect(server.simulator.world.guests.get(101)?.config["lock"]).toBeUndefined();
    const { data: listed } = await server.call("list_backups", { guest: "web-1" });
    expect(listed["backups"]).toMatchObject([{ volid, notes: "web-1:" }, {}]);
  });

  test("chooses the storage where only one may hold backups, and else names them", async () => {
    const several = await create({ guest: "web-1" });
    expect(several.kind).toBe("invalid_input");
    expect(several.text).toContain("may go to local, nfs-shared. Name one of them as storage.");
    expect(several.sent).toEqual([]);
    server.simulator.world.storages.get("local")?.content.splice(2, 1);
    await server.clock.advance(15_000);
    const { data } = await create({ guest: "dns-1" });
    expect(data["volid"]).toMatch(/^nfs-shared:backup\/vzdump-lxc-200-.*\.tar\.zst$/);
    const wrong = await create({ guest: "dns-1", storage: "local" });
    expect(wrong.kind).toBe("conflict");
    expect(wrong.text).toContain("local may not hold backups. Nothing was sent. Use nfs-shared.");
  });

  test("several: one at a time on a node, each with its own outcome", async () => {
    const guests = ["dns-1", "files-1", "proxy-1", "dns-2"];
    const { data, text } = await create({ guests, storage: "local", wait_s: 300 });
    const results = data["results"] as readonly Record<string, unknown>[];
    expect(results.map(({ vmid, error }) => vmid ?? (error as { kind: string }).kind)).toEqual([
      200,
      "locked",
      202,
      201,
    ]);
    expect(text).toMatch(/container 200 \(dns-1\) on pve1 is backed up as local:backup/);
    expect(text).toMatch(/files-1: locked: /);
    expect(held().filter(({ volid }) => volid.startsWith("local:")).length).toBe(3);
    const log = await server.call("get_tasks", { upid: results[2]?.["upid"], log_lines: 50 });
    expect(log.text).toContain("INFO: got global lock");
  });

  test("asked for twice at once it is made once, and another storage waits its turn", async () => {
    const args = { guest: "dns-1", storage: "nfs-shared" };
    const [one, two, other] = await server.clock.run(
      Promise.all([
        server.begin("create_backup", args),
        server.begin("create_backup", args),
        server.begin("create_backup", { ...args, storage: "local" }),
      ]),
    );
    expect(one?.data["upid"]).toBe(two?.data["upid"]);
    expect(two?.data["volid"]).toBe(one?.data["volid"]);
    expect(other?.kind).toBe("busy");
    expect(held().filter(({ vmid }) => vmid === 200).length).toBe(2);
  });

  test("mode stop says that it interrupts", async () => {
    const args = { guest: "web-1", storage: "local", mode: "stop" };
    const { text, sent } = await create({ ...args, dry_run: true });
    expect(sent).toEqual([]);
    expect(text).toContain("up to local, which stops and starts it meanwhile");
    expect((await create({ ...args, wait_s: 120 })).data["status"]).toBe("running");
  });

  test.each([
    ["protection", { protected: true }],
    ["mode", { mode: "stop" }],
    ["notes", { notes: "before the upgrade" }],
  ])("one of another %s is not taken for the one under way", async (_, more) => {
    const args = { guest: "web-1", storage: "nfs-shared" };
    const { data } = await create({ ...args, wait_s: 0 });
    const other = await create({ ...args, ...more, wait_s: 120 });
    expect(other).toMatchObject({ kind: "busy", sent: [], facts: { upid: data["upid"] } });
    const same = await create({ ...args, wait_s: 120 });
    expect(same.data["upid"]).toBe(data["upid"]);
  });

  test("goes on where nobody waits", async () => {
    const { data, text } = await create({ guest: "dns-1", storage: "local", wait_s: 0 });
    expect(data).toMatchObject({ changed: true, task: { state: "running" } });
    expect(data).not.toHaveProperty("volid");
    expect(text).toContain("get_tasks");
    await server.clock.advance(60_000);
    expect(held().length).toBe(4);
  });

  test("a task that fails is told with the reason from its log", async () => {
    const begun = server.begin("create_backup", { guest: "dns-1", storage: "nfs-shared" });
    await server.clock.advance(0);
    server.simulator.outside.lock(200, "migrate");
    const { kind, text } = await server.clock.run(begun);
    expect(kind).toBe("task_failed");
    expect(text).toContain("job errors");
    expect(text).toContain("CT is locked (migrate)");
    expect(held().length).toBe(3);
  });
});

describe("create_backup refuses", () => {
  test.each([
    ["a guest that is not there", { guest: "web-99" }, "not_found"],
    ["a name of two guests", { guest: "sandbox" }, "ambiguous"],
    ["a guest that is locked", { guest: "files-1" }, "locked"],
    ["a storage that is not there", { guest: "web-1", storage: "nope" }, "not_found"],
    ["a mode that is none", { guest: "web-1", mode: "hot" }, "invalid_input"],
    ["neither guest nor guests", {}, "invalid_input"],
  ])("%s", async (_, args, kind) => {
    const answer = await create({ storage: "nfs-shared", ...args });
    expect(answer.kind).toBe(kind);
    expect(answer.sent).toEqual([]);
  });

  test("who may not write to the storage, and who may not back that guest up", async () => {
    const args = { guest: "web-1", storage: "nfs-shared" };
    const auditor = await lab({ tools, token: auditorToken });
    const storage = await auditor.call("create_backup", args);
    expect(storage.kind).toBe("forbidden");
    expect(storage.text).toContain("Datastore.AllocateSpace on /storage/nfs-shared");
    const token = { tokenId: "half@pve!x", secret: "0d5e7f1e-0000-4000-8000-00000000000a" };
    const half = await lab({ tools, token });
    const roles = { "/vms": "PVEAuditor", "/nodes": "PVEAuditor", "/storage": "PVEDatastoreUser" };
    addToken(half.simulator.world, { id: token.tokenId, secret: token.secret, roles });
    const guest = await half.call("create_backup", args);
    expect(guest.kind).toBe("forbidden");
    expect(guest.text).toContain("VM.Backup on /vms/101");
    expect(guest.text).toContain("pveum acl modify /vms/101");
  });
});
