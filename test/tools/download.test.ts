import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { volumeKey } from "../../src/simulator/world.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, lab } from "../kit.ts";

const url = "https://mirror.example/images/tiny.iso";
const bytes = "what is on the disc";
const sha256 = createHash("sha256").update(bytes).digest("hex");
const wrong = "0".repeat(64);
const iso = { storage: "nfs-shared", url, content: "iso" };
const volid = "nfs-shared:iso/tiny.iso";
const mib = 1024 ** 2;

let server: Lab;

beforeEach(async () => {
  server = await lab();
  serve(url);
  await server.call("list_guests");
});

const world = () => server.simulator.world;
const stored = (node: string, id: string) => world().volumes.get(`${node}/${id}`);
const serve = (at: string, sizeBytes = 100 * mib) => world().web.set(at, { sizeBytes, bytes });

function storage(id: string) {
  const found = world().storages.get(id);
  if (!found) throw new Error(`no storage ${id}`);
  return found;
}

/** Downloads, and what of it was sent. */
function download(args: Record<string, unknown> = {}) {
  return server.act("download_storage", { ...iso, ...args });
}

async function refused(args: Record<string, unknown>) {
  const { kind, text, facts, sent } = await download(args);
  expect(sent).toEqual([]);
  return { kind, text, facts };
}

describe("download_storage", () => {
  test("puts the file on the storage and names it", async () => {
    const { data, text, sent } = await download();
    expect(data).toMatchObject({
      volid,
      storage: "nfs-shared",
      node: "pve1",
      status: "present",
      changed: true,
      task: { state: "ok" },
    });
    expect(stored("", volid)).toMatchObject({ content: "iso", sizeBytes: 100 * mib });
    expect(text).toContain(`${volid} on pve1 was downloaded`);
    expect(sent[0]?.body).toEqual({ url, content: "iso", filename: "tiny.iso" });
  });

  test("reads the state of the storage and its content, then sends once", async () => {
    const mark = server.simulator.log.mark();
    await server.call("download_storage", { ...iso, wait_s: 0 });
    expect(server.simulator.log.paths(mark)).toEqual([
      "GET /nodes/pve1/storage/nfs-shared/status",
      "GET /nodes/pve1/storage/nfs-shared/content",
      "POST /nodes/pve1/storage/nfs-shared/download-url",
    ]);
  });

  test("has the checksum compared, its algorithm told by its length", async () => {
    const { data, sent } = await download({ checksum: sha256.toUpperCase() });
    expect(data["changed"]).toBe(true);
    expect(sent[0]?.body).toMatchObject({ "checksum-algorithm": "sha256" });
    expect(stored("", volid)).toBeDefined();
  });

  test.each([
    ["md5", 32],
    ["sha1", 40],
    ["sha512", 128],
  ])("knows %s by its %i digits", async (algorithm, digits) => {
    const checksum = createHash(algorithm).update(bytes).digest("hex");
    expect(checksum.length).toBe(digits);
    const { data, sent } = await download({ checksum });
    expect(data["changed"]).toBe(true);
    expect(sent[0]?.body["checksum-algorithm"]).toBe(algorithm);
  });

  test("a wrong checksum fails with the log's last lines and leaves nothing", async () => {
    const { kind, text, facts } = await download({ checksum: wrong });
    expect(kind).toBe("task_failed");
    expect(facts["exitstatus"]).toBe(`checksum mismatch: got '${sha256}' != expect '${wrong}'`);
    expect(text).toContain("calculating checksum...");
    expect(stored("", volid)).toBeUndefined();
  });

  test("tells its progress", async () => {
    const done: (number | undefined)[] = [];
    await server.call("download_storage", iso, {
      onProgress: ({ progress, total }) => done.push(total ? progress / total : progress),
    });
    expect(done.length).toBeGreaterThan(1);
  });

  test("goes on where nobody waits, and what it changes is read anew at the end", async () => {
    const list = { storage: "nfs-shared", content: "iso" };
    await server.call("list_storage", list);
    await server.call("list_storage", { storage: "local" });
    const begun = await server.call("download_storage", { ...iso, wait_s: 0 });
    expect(begun.data).toMatchObject({ status: "downloading", task: { state: "running" } });
    expect(begun.text).toContain("get_tasks");
    expect((await server.call("list_storage", list)).data["total"]).toBe(1);
    await server.clock.advance(10_000);
    expect((await server.call("list_storage", list)).data["total"]).toBe(2);
    const untouched = { storage: "local", max_age_s: 60 };
    expect(await server.cost("list_storage", untouched)).toBe(0);
  });

  test("with dry_run sends nothing and says what it would", async () => {
    const { data, text, sent } = await download({ dry_run: true, checksum: sha256 });
    expect(sent).toEqual([]);
    expect(data).toMatchObject({ volid, status: "absent", changed: false });
    expect(text).toContain(`download ${url} as ${volid}`);
    expect(text).toContain("POST /nodes/pve1/storage/nfs-shared/download-url");
  });

  test("a second one of the same file waits for nothing and sends nothing", async () => {
    await server.call("download_storage", { ...iso, wait_s: 0 });
    const again = await refused({});
    expect(again.kind).toBe("conflict");
    expect(again.text).toContain("get_tasks");
    await server.clock.advance(20_000);
    expect(stored("", volid)).toBeDefined();
  });
});

describe("a file that is there already", () => {
  beforeEach(async () => {
    await download();
  });

  test("without a checksum is a conflict that names it", async () => {
    const before = stored("", volid);
    const { kind, text, facts } = await refused({});
    expect(kind).toBe("conflict");
    expect(facts["volid"]).toBe(volid);
    expect(text).toContain("delete_storage_content");
    expect(stored("", volid)).toBe(before);
  });

  test("with the right checksum is left alone", async () => {
    const before = stored("", volid);
    const { data, text } = await download({ checksum: sha256 });
    expect(data).toMatchObject({ changed: false, status: "present", task: { state: "ok" } });
    expect(text).toContain("was there already");
    expect(stored("", volid)).toBe(before);
  });

  test("with dry_run says that it would only compare", async () => {
    const { data, text } = await download({ checksum: wrong, dry_run: true });
    expect(data).toMatchObject({ status: "present", changed: false });
    expect(text).toContain(`only compare the checksum of ${volid}`);
  });

  test("with another checksum fails, and stays as it was", async () => {
    const before = stored("", volid);
    const { kind, text, facts } = await download({ checksum: wrong });
    expect(kind).toBe("task_failed");
    expect(facts["exitstatus"]).toContain("aborting");
    expect(text).toContain("another name as filename");
    expect(text).toContain(`delete_storage_content {volume: "${volid}"}`);
    expect(text).not.toContain("Mend the cause");
    expect(before).toBeDefined();
    expect(stored("", volid)).toBe(before);
  });
});

describe("where it goes", () => {
  test("a local storage of several nodes is ambiguous", async () => {
    const { kind, facts } = await refused({ storage: "local" });
    expect(kind).toBe("ambiguous");
    expect(facts["nodes"]).toEqual(["pve1", "pve2", "pve3"]);
    const { data } = await download({ storage: "local", node: "pve2" });
    expect(data["node"]).toBe("pve2");
    expect(stored("pve2", "local:iso/tiny.iso")).toBeDefined();
    expect(stored("pve1", "local:iso/tiny.iso")).toBeUndefined();
  });

  test("the only node that is left has it", async () => {
    server.simulator.outside.nodeDown("pve1");
    server.simulator.outside.nodeDown("pve3");
    await server.clock.advance(10_001);
    const { data } = await download({ storage: "local" });
    expect(data["node"]).toBe("pve2");
    expect((await refused({ storage: "local", node: "pve1" })).kind).toBe("unreachable");
  });

  test.each([
    ["is not there", { storage: "nfs" }, "not_found", "nfs-shared"],
    ["is not on that node", { node: "pve9" }, "not_found", "pve1"],
    ["does not hold it", { storage: "local-lvm", node: "pve1" }, "invalid_input", "nfs-shared"],
  ])("a storage that %s is refused", async (_, args, kind, hint) => {
    const answer = await refused(args);
    expect(answer.kind).toBe(kind);
    expect(answer.text).toContain(hint);
  });

  test("a storage that is offline, or disabled, is a conflict before anything is sent", async () => {
    storage("nfs-shared").offline = true;
    const away = await refused({});
    expect(away).toMatchObject({ kind: "conflict" });
    expect(away.text).toContain("does not answer");
    storage("nfs-shared").disabled = true;
    const disabled = await refused({});
    expect(disabled.text).toContain("disabled");
    await server.clock.advance(10_001);
    expect((await refused({})).text).toContain("disabled");
    expect(stored("", volid)).toBeUndefined();
  });
});

describe("what fails on the host", () => {
  test("a full storage", async () => {
    const sizeBytes = storage("nfs-shared").totalBytes;
    const big = { volid: "nfs-shared:iso/big.iso", node: "", format: "iso", ctime: 0 };
    world().volumes.set(`/${big.volid}`, { ...big, content: "iso", sizeBytes });
    const { kind, facts } = await download();
    expect(kind).toBe("task_failed");
    expect(facts["exitstatus"]).toContain("No space left on device");
    expect(stored("", volid)).toBeUndefined();
  });

  test.each([
    ["an address that is not there", "https://mirror.example/none.iso", "exit code 8", "404"],
    ["a host that is not there", "https://nowhere.example/a.iso", "unable to resolve", "Resolving"],
  ])("%s", async (_, at, exit, line) => {
    const { kind, text, facts } = await download({ url: at });
    expect(kind).toBe("task_failed");
    expect(facts["exitstatus"]).toContain(exit);
    expect(text).toContain(line);
  });

  test("who may not store is told the privilege and the command", async () => {
    const auditor = await lab({ token: auditorToken });
    auditor.simulator.world.web.set(url, { sizeBytes: mib, bytes });
    const answer = await auditor.call("download_storage", iso);
    expect(answer.kind).toBe("forbidden");
    expect(answer.text).toContain("Datastore.AllocateTemplate on /storage/nfs-shared");
    expect(answer.text).toContain("pveum acl modify /storage/nfs-shared");
    expect(auditor.simulator.world.volumes.has(volumeKey(volid, ""))).toBe(false);
  });

  test("who may store but not look is told that, not that there is no storage", async () => {
    const token = { tokenId: "blind@pve!agent", secret: "66666666-ffff-4fff-8fff-000000000006" };
    const blind = await lab({ token, settleMs: 0 });
    const privileges = ["Datastore.AllocateTemplate", "Datastore.AllocateSpace"];
    blind.simulator.world.roles.set("Store", new Set(privileges));
    addToken(blind.simulator.world, {
      id: token.tokenId,
      secret: token.secret,
      roles: { "/storage": "Store" },
    });
    const answer = await blind.call("download_storage", iso);
    expect(answer.kind).toBe("forbidden");
    expect(answer.text).toContain("Datastore.Audit on /storage/nfs-shared");
  });

  test("who may store but not reach the web is told so", async () => {
    const token = { tokenId: "keeper@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    const keeper = await lab({ token, settleMs: 0 });
    addToken(keeper.simulator.world, {
      id: token.tokenId,
      secret: token.secret,
      roles: { "/storage": "PVEDatastoreAdmin", "/nodes": "PVEAuditor" },
    });
    keeper.simulator.world.web.set(url, { sizeBytes: mib, bytes });
    await keeper.clock.advance(15_000);
    const answer = await keeper.call("download_storage", iso);
    expect(answer.kind).toBe("forbidden");
    expect(answer.text).toContain("Sys.AccessNetwork on /nodes/pve1");
    expect(answer.text).toContain("--tokens 'keeper@pve!agent'");
    expect(keeper.simulator.world.volumes.has(volumeKey(volid, ""))).toBe(false);
  });
});
