import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { filesBelow } from "../../src/files.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, type LabOptions, lab, tools } from "../kit.ts";

const bytes = "what is on the disc";
const sha256 = createHash("sha256").update(bytes).digest("hex");
const iso = { storage: "nfs-shared", file: "tiny.iso", content: "iso" };
const volid = "nfs-shared:iso/tiny.iso";
const mib = 1024 ** 2;
let folder: string;
let server: Lab;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "upload-"));
  const files = {
    "tiny.iso": bytes,
    "longer.iso": `${bytes} and more`,
    "big.iso": Buffer.alloc(9 * mib, "x"),
    "noble.img": "an image",
    "ct.tar.zst": "a template",
    "notes.txt": "no image",
    "two words.iso": bytes,
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  symlinkSync("/etc/hostname", join(folder, "out.iso"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(() => start());

async function start(options: LabOptions = {}) {
  server = await lab({ tools, files: filesBelow(folder), ...options });
  await server.call("list_guests");
}

const stored = (node: string, id: string) => server.simulator.world.volumes.get(`${node}/${id}`);

/** Uploads, and what of it was sent. */
function upload(args: Record<string, unknown> = {}) {
  return server.act("upload_storage", { ...iso, ...args });
}

async function refused(args: Record<string, unknown>) {
  const { kind, text, facts, sent } = await upload(args);
  expect(sent).toEqual([]);
  return { kind, text, facts };
}

describe("upload_storage", () => {
  test("puts the file on the storage, verified, and names it", async () => {
    const { data, text, sent } = await upload();
    expect(data).toMatchObject({
      volid,
      storage: "nfs-shared",
      node: "pve1",
      status: "present",
      changed: true,
      task: { state: "ok" },
    });
    expect(text).toBe(`${volid} on pve1 was uploaded.`);
    expect(stored("", volid)).toMatchObject({ content: "iso", sizeBytes: bytes.length, bytes });
    expect(sent.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /nodes/pve1/storage/nfs-shared/upload",
    ]);
    const { tmpfilename: _, ...body } = sent[0]?.body ?? {};
    expect(body).toEqual({
      content: "iso",
      "checksum-algorithm": "sha256",
      checksum: sha256,
      filename: "tiny.iso",
    });
    expect(sent[0]?.contentType).toMatch(/^multipart\/form-data; boundary=/);
  });

  test("is seen by the next look at that storage", async () => {
    await server.call("list_storage", { storage: "nfs-shared", content: "iso" });
    await upload();
    const { text } = await server.call("list_storage", { storage: "nfs-shared", content: "iso" });
    expect(text).toContain(volid);
  });

  test("takes templates and disk images, under another name too", async () => {
    const template = { storage: "local", node: "pve2", file: "ct.tar.zst", content: "vztmpl" };
    expect((await upload(template)).data["volid"]).toBe("local:vztmpl/ct.tar.zst");
    expect(stored("pve2", "local:vztmpl/ct.tar.zst")).toMatchObject({ format: "tzst" });
    const image = { file: "noble.img", content: "import", filename: "noble.qcow2" };
    expect((await upload(image)).data["volid"]).toBe("nfs-shared:import/noble.qcow2");
    const spaced = await upload({ file: "two words.iso" });
    expect(spaced.data["volid"]).toBe("nfs-shared:iso/two_words.iso");
  });

  test("compares the checksum that is given before anything is sent, and sends it", async () => {
    const wrong = await refused({ checksum: "0".repeat(64) });
    expect(wrong).toMatchObject({ kind: "invalid_input", facts: { argument: "checksum" } });
    expect(wrong.text).toContain(sha256);
    const sha1 = createHash("sha1").update(bytes).digest("hex");
    const { data, sent } = await upload({ checksum: sha1.toUpperCase() });
    expect(data["changed"]).toBe(true);
    expect(sent[0]?.body).toMatchObject({ "checksum-algorithm": "sha1", checksum: sha1 });
  });

  test("refuses to replace another file unless told to", async () => {
    await upload();
    const other = { file: "longer.iso", filename: "tiny.iso" };
    const answer = await refused(other);
    expect(answer).toMatchObject({
      kind: "conflict",
      facts: { volid, sizeBytes: bytes.length, uploadBytes: bytes.length + 9 },
    });
    expect(answer.text).toContain("overwrite: true");
    expect((await upload({ ...other, overwrite: true })).data["changed"]).toBe(true);
    expect(stored("", volid)?.sizeBytes).toBe(bytes.length + 9);
  });

  test("does not pull a disc from under a guest", async () => {
    await upload();
    server.simulator.outside.setConfig(101, { ide2: `${volid},media=cdrom` });
    const answer = await refused({ overwrite: true });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("101");
  });

  test("says what would be sent when only asked, and sends nothing", async () => {
    const { data, text, sent } = await upload({ dry_run: true });
    expect(sent).toEqual([]);
    expect(data).toMatchObject({ volid, changed: false, status: "absent" });
    expect(data["plan"]).toMatchObject({
      requests: [{ method: "POST", path: "/nodes/pve1/storage/nfs-shared/upload" }],
    });
    expect(text).toContain(sha256);
    await upload();
    const other = { file: "longer.iso", filename: "tiny.iso", dry_run: true };
    expect((await upload(other)).text).toContain("Against it: conflict");
  });

  test("tells how far it is while it reads and while it sends", async () => {
    const told: { progress: number; message?: string | undefined }[] = [];
    const { data } = await server.call(
      "upload_storage",
      { ...iso, file: "big.iso" },
      {
        onProgress: (step) => told.push(step),
      },
    );
    expect(data["changed"]).toBe(true);
    const messages = told.map(({ message }) => message);
    expect(messages).toContain("checksum of big.iso: 9 MiB of 9 MiB");
    expect(messages).toContain("sent 9 MiB of 9 MiB");
    expect(stored("", "nfs-shared:iso/big.iso")?.sizeBytes).toBe(9 * mib);
  });

  test("answers at once with the task when it may not wait", async () => {
    const { data, text } = await server.call("upload_storage", { ...iso, wait_s: 0 });
    expect(data).toMatchObject({ status: "importing", changed: true, task: { state: "running" } });
    expect(text).toContain(`get_tasks {upid: "${data["upid"]}", wait_s: 60}`);
  });
});

describe("upload_storage refuses before a byte is sent", () => {
  test.each([
    ["a path out of the folder", { file: "../x.iso" }, "invalid_input", "file"],
    ["a link out of the folder", { file: "out.iso" }, "invalid_input", "file"],
    ["what is not there", { file: "no.iso" }, "not_found", "file"],
    ["a wrong ending", { file: "notes.txt" }, "invalid_input", "filename"],
    [
      "a raw cloud image under its own name",
      { file: "noble.img", content: "import" },
      "invalid_input",
      "filename",
    ],
  ])("%s", async (_, args, kind, argument) => {
    expect(await refused(args)).toMatchObject({ kind, facts: { argument } });
  });

  test("a storage that is not there, off, or holds something else", async () => {
    expect((await refused({ storage: "nope" })).kind).toBe("not_found");
    expect((await refused({ storage: "local-lvm" })).kind).toBe("invalid_input");
    expect((await refused({ storage: "local" })).kind).toBe("ambiguous");
    const storage = server.simulator.world.storages.get("nfs-shared");
    if (storage) storage.offline = true;
    expect((await refused({})).kind).toBe("conflict");
  });

  test("whoever may not, with the privilege and the command", async () => {
    const token = { tokenId: "keeper@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    await start({ token, settleMs: 0 });
    const roles = { "/storage": "PVEDatastoreUser", "/nodes": "PVEAuditor" };
    addToken(server.simulator.world, { id: token.tokenId, secret: token.secret, roles });
    await server.clock.advance(15_000);
    const answer = await refused({});
    expect(answer).toMatchObject({
      kind: "forbidden",
      facts: { path: "/storage/nfs-shared", privileges: ["Datastore.AllocateTemplate"] },
    });
    expect(answer.text).toContain(
      "pveum acl modify /storage/nfs-shared --tokens 'keeper@pve!agent' --roles PVEDatastoreAdmin",
    );
  });

  test("everything, where no file may be read: it is not even listed", async () => {
    const bare = await lab({ tools });
    const { tools: listed } = await bare.client.listTools();
    expect(listed.map(({ name }) => name)).not.toContain("upload_storage");
    await expect(bare.call("upload_storage", iso)).rejects.toThrow("--files DIR");
  });
});

describe("an upload that goes wrong", () => {
  test("fails with the task's words when the storage is full", async () => {
    const { world } = server.simulator;
    const storage = world.storages.get("nfs-shared");
    if (storage) world.storages.set("nfs-shared", { ...storage, totalBytes: 10 });
    const { kind, text } = await upload();
    expect(kind).toBe("task_failed");
    expect(text).toContain("import failed");
    expect(stored("", volid)).toBeUndefined();
  });

  test.each(["cutBeforeWorld", "cutAfterWorld"] as const)(
    "is of unknown outcome when the connection breaks (%s), and is sent once",
    async (how) => {
      server.simulator.faults[how]({ method: "POST", path: /upload$/ });
      const { kind, text, facts, sent } = await upload();
      expect(kind).toBe("outcome_unknown");
      expect(sent).toHaveLength(1);
      expect(text).toContain(`list_storage {storage: "nfs-shared", max_age_s: 0}`);
      expect(facts).toMatchObject({ volid, totalBytes: bytes.length });
      const whole = how === "cutAfterWorld";
      expect(text.includes("The whole file had left")).toBe(whole);
      await server.clock.advance(60_000);
      expect(stored("", volid) !== undefined).toBe(whole);
    },
  );

  test("goes again only where it provably never left", async () => {
    server.simulator.faults.refuse({ method: "POST", path: /upload$/, times: 2 });
    const { data, sent } = await upload();
    expect(data["changed"]).toBe(true);
    expect(sent.map(({ arrived }) => arrived)).toEqual([false, false, true]);
  });

  test("ends when the caller gives up, and leaves nothing behind", async () => {
    const stop = new AbortController();
    const settings = {
      signal: stop.signal,
      onProgress: ({ message = "" }) => message.startsWith("sent") && stop.abort(),
    };
    const answer = server.call("upload_storage", { ...iso, file: "big.iso" }, settings);
    await expect(answer).rejects.toThrow();
    await server.clock.advance(60_000);
    expect(stored("", "nfs-shared:iso/big.iso")).toBeUndefined();
  });

  test.each(["pve1", "pve2"])(
    "is not begun twice for the same name, the second time through %s",
    async (node) => {
      const order = { ...iso, file: "big.iso" };
      const first = server.call("upload_storage", { ...order, node: "pve1" });
      const second = server.call("upload_storage", { ...order, node });
      const kinds = (await Promise.all([first, second])).map(
        ({ kind, data }) => kind || data["changed"],
      );
      expect(kinds.sort()).toEqual(["conflict", true].sort());
      expect(server.simulator.log.changes()).toHaveLength(1);
    },
  );

  test("says that the file changed when it did", async () => {
    const { source } = filesBelow(folder);
    const known = await source("longer.iso", "file");
    writeFileSync(join(folder, "longer.iso"), `${bytes} or more`);
    const read = async () => {
      for await (const _ of known.open());
    };
    await expect(read()).rejects.toMatchObject({ kind: "conflict" });
    writeFileSync(join(folder, "longer.iso"), `${bytes} and more`);
  });
});
