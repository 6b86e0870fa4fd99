import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { filesBelow } from "../../src/files.ts";
import { type Lab, lab, tools } from "../kit.ts";

const bytes = "what is on the disc";
const iso = { storage: "nfs-shared", file: "tiny.iso", content: "iso" };
const volid = "nfs-shared:iso/tiny.iso";
const sum = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex");
let folder: string;
let server: Lab;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "upload-again-"));
  writeFileSync(join(folder, "tiny.iso"), bytes);
  writeFileSync(join(folder, "twin.iso"), bytes.replace("disc", "disk"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  server = await lab({ tools, files: filesBelow(folder) });
  await server.call("list_guests");
});

function upload(args: Record<string, unknown> = {}) {
  return server.act("upload_storage", { ...iso, ...args });
}

/** What lies there, without anybody having told us. */
function somebodyPut(content: string) {
  const { world } = server.simulator;
  const file = { volid, node: "", content: "iso" as const, format: "iso", bytes: content };
  const ctime = Math.floor(server.clock.now() / 1000);
  world.volumes.set(`/${volid}`, { ...file, sizeBytes: content.length, ctime });
}

describe("upload_storage of a file that it has sent before", () => {
  test("is known to be there, whatever checksum is given", async () => {
    await upload();
    for (const args of [{}, { checksum: sum("sha256") }, { checksum: sum("md5") }]) {
      const { data, text, sent } = await upload(args);
      expect(data).toEqual({
        volid,
        storage: "nfs-shared",
        node: "pve1",
        status: "present",
        changed: false,
      });
      expect(text).toContain("with the same content");
      expect(sent).toEqual([]);
    }
  });

  test("was sent with another checksum than SHA-256, and is known all the same", async () => {
    await upload({ checksum: sum("sha1") });
    expect((await upload({ checksum: sum("sha512") })).data["changed"]).toBe(false);
  });

  test("is known when nobody has waited for its end", async () => {
    await upload({ wait_s: 0 });
    await server.clock.advance(60_000);
    expect((await upload({ checksum: sum("sha256") })).text).toContain("with the same content");
  });

  test("is told from another one of the same size", async () => {
    await upload();
    const twin = { file: "twin.iso", filename: "tiny.iso" };
    const mine = createHash("sha256").update(bytes.replace("disc", "disk")).digest("hex");
    for (const args of [twin, { ...twin, checksum: mine }]) {
      const { kind, text, sent } = await upload(args);
      expect(kind).toBe("conflict");
      expect(text).toContain("it has another checksum");
      expect(sent).toEqual([]);
    }
  });

  test("is unknown again once somebody has put something else there", async () => {
    await upload();
    await server.clock.advance(5_000);
    somebodyPut(bytes.replace("disc", "disk"));
    const { kind, text, sent } = await upload({ checksum: sum("sha256") });
    expect(kind).toBe("conflict");
    expect(text).toContain("can't be known");
    expect(sent).toEqual([]);
  });
});

describe("upload_storage where a file of the same size is there that it did not send", () => {
  beforeEach(() => somebodyPut(bytes));

  test("leaves it alone, and does not claim that it is the same", async () => {
    const { data, text, sent } = await upload();
    expect(data).toMatchObject({ volid, changed: false, status: "present" });
    expect(data["warnings"]).toEqual([expect.stringContaining("the same size")]);
    expect(text).not.toContain("with the same content");
    expect(text).toContain("can't be known");
    expect(sent).toEqual([]);
  });

  test("refuses where a checksum is to be sure of, in a plan too", async () => {
    const { kind, text, sent } = await upload({ checksum: sum("sha256") });
    expect(kind).toBe("conflict");
    expect(text).toContain("overwrite: true to send it anew, or without checksum");
    expect(sent).toEqual([]);
    const planned = await upload({ checksum: sum("sha256"), dry_run: true });
    expect(planned.text).toContain("Against it: conflict: A file of the same size is there");
    const sure = await upload({ checksum: sum("sha256"), overwrite: true });
    expect(sure.data["changed"]).toBe(true);
  });

  test("tells a wrong checksum of the file here first", async () => {
    expect((await upload({ checksum: "0".repeat(64) })).kind).toBe("invalid_input");
  });

  test("and is overwritten: says what could not be looked at, in the plan and in the answer", async () => {
    server.simulator.outside.nodeDown("pve2");
    await server.clock.advance(10_001);
    for (const dry_run of [true, false]) {
      const { data, text } = await upload({ overwrite: true, dry_run });
      expect(data["changed"]).toBe(!dry_run);
      expect(text).toMatch(/Warning: use not checked for VM 102 .*node offline/);
      expect(data["warnings"]).toEqual(
        expect.arrayContaining(["use not checked for snapshots of other guests"]),
      );
    }
  });
});
