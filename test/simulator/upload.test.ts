import { describe, expect, test } from "vitest";
import { adminToken, auditorToken, authorization } from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

const boundary = "xxBOUNDxx";
const part = (name: string, value: string) =>
  `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const file = (name: string, bytes: string, field = "filename", before = "") =>
  `--${boundary}\r\n${before}Content-Disposition: form-data; name="${field}"; filename="${name}"\r\n` +
  `Content-Type: application/octet-stream\r\n\r\n${bytes}\r\n--${boundary}--\r\n`;
const md5 = "9e107d9d372bb6826bd81d3542a419d6"; // of the pangram below
const pangram = "The quick brown fox jumps over the lazy dog";

async function upload(
  body: string,
  { path = "/nodes/pve1/storage/local/upload", token = adminToken, size = 7 } = {},
) {
  const pve = host();
  const bytes = Buffer.from(body);
  const open = async function* () {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  };
  const reply = await pve.clock.run(
    pve.simulator.send({
      method: "POST",
      path: `/api2/json${path}`,
      headers: {
        authorization: authorization(token),
        "content-type": `multipart/form-data; boundary=${boundary}`,
      },
      stream: { length: bytes.length, open },
    }),
  );
  const { data = "" } = reply.body.startsWith("{") ? JSON.parse(reply.body) : {};
  await pve.clock.advance(60_000);
  const log = async () =>
    (await pve.get(`/nodes/pve1/tasks/${encodeURIComponent(data)}/log`)).data.map(
      ({ t }: { t: string }) => t,
    );
  return { pve, reply, data, log };
}

const checked = part("content", "iso") + part("checksum-algorithm", "md5") + part("checksum", md5);

describe("an upload", () => {
  test.each([1, 13, 4096])("is read in pieces of %d bytes", async (size) => {
    const { pve, data, log } = await upload(checked + file("up.iso", pangram), { size });
    expect(data).toMatch(/^UPID:pve1:.*:imgcopy::root@pam!mcp:$|^UPID:pve1:.*:imgcopy::.*:$/);
    expect(pve.simulator.world.volumes.get("pve1/local:iso/up.iso")).toMatchObject({
      sizeBytes: pangram.length,
      bytes: pangram,
    });
    expect(await log()).toEqual([
      expect.stringMatching(/^starting file import from: \/var\/tmp\/pveupload-[0-9a-f]{32}$/),
      "calculating checksum...OK, checksum verified",
      "target node: pve1",
      "target file: /var/lib/vz/template/iso/up.iso",
      `file size is: ${pangram.length}`,
      expect.stringMatching(
        /^command: cp -- \/var\/tmp\/pveupload-\S+ \/var\/lib\/vz\/template\/iso\/up.iso$/,
      ),
      "finished file import successfully",
      "TASK OK",
    ]);
  });

  test("with the wrong checksum fails in its task and leaves nothing", async () => {
    const { pve, data, log } = await upload(checked + file("up.iso", `${pangram}.`));
    expect(pve.simulator.world.volumes.has("pve1/local:iso/up.iso")).toBe(false);
    expect(data).toMatch(/^UPID:/);
    expect((await log()).at(-1)).toMatch(
      /^TASK ERROR: checksum mismatch: got '[0-9a-f]{32}' != expect/,
    );
  });

  test("overwrites what is there without a word", async () => {
    const pve = host();
    expect(pve.simulator.world.volumes.has("/nfs-shared:iso/virtio-win-0.1.285.iso")).toBe(true);
    const path = "/nodes/pve1/storage/nfs-shared/upload";
    const done = await upload(part("content", "iso") + file("virtio-win-0.1.285.iso", "x"), {
      path,
    });
    const volume = done.pve.simulator.world.volumes.get("/nfs-shared:iso/virtio-win-0.1.285.iso");
    expect(volume?.sizeBytes).toBe(1);
  });

  test("for another node is carried there by the host that answers", async () => {
    const path = "/nodes/pve2/storage/local/upload";
    const { pve, data } = await upload(part("content", "iso") + file("up.iso", "x"), { path });
    expect(data).toMatch(/^UPID:pve1:/);
    expect(pve.simulator.world.volumes.has("pve2/local:iso/up.iso")).toBe(true);
  });

  test.each([
    [
      "the file first",
      `${file("up.iso", "x").replace(/--\r\n$/, "\r\n")}${part("content", "iso")}`,
    ],
    [
      "the checksum before its algorithm",
      part("content", "iso") +
        part("checksum", md5) +
        part("checksum-algorithm", "md5") +
        file("up.iso", "x"),
    ],
    ["another field between", part("content", "iso") + part("extra", "1") + file("up.iso", "x")],
    [
      "another header before the disposition",
      part("content", "iso") + file("up.iso", "x", "filename", "Content-Type: text/plain\r\n"),
    ],
    ["no end", (part("content", "iso") + file("up.iso", "x")).slice(0, -20)],
    ["no file", `${part("content", "iso")}--${boundary}--\r\n`],
    ["the file under another name", part("content", "iso") + file("up.iso", "x", "file")],
  ])("with %s is refused", async (_, body) => {
    const { reply, pve } = await upload(body);
    expect(reply.status).toBe(501);
    expect(pve.simulator.world.volumes.has("pve1/local:iso/up.iso")).toBe(false);
  });

  test.each([
    [
      part("content", "backup") + file("up.iso", "x"),
      400,
      { content: expect.stringContaining("enumeration") },
    ],
    [file("up.iso", "x"), 400, { content: expect.stringContaining("missing") }],
    [part("content", "iso") + file("up.txt", "x"), 400, { filename: "wrong file extension" }],
    [
      part("content", "iso") + part("checksum", md5) + file("up.iso", "x"),
      400,
      { "checksum-algorithm": "missing property required by 'checksum'" },
    ],
  ])("is judged by its parameters (%#)", async (body, status, errors) => {
    const { reply } = await upload(body);
    expect(reply.status).toBe(status);
    expect(JSON.parse(reply.body).errors).toEqual(errors);
  });

  test("needs a right, a storage with files and that content", async () => {
    const body = part("content", "iso") + file("up.iso", "x");
    const denied = await upload(body, { token: auditorToken });
    expect([denied.reply.status, denied.reply.reason]).toEqual([
      403,
      "Permission check failed (/storage/local, Datastore.AllocateTemplate)",
    ]);
    const lvm = await upload(body, { path: "/nodes/pve1/storage/local-lvm/upload" });
    expect(lvm.reply.reason).toBe("can't upload to storage type 'lvmthin'");
    const template = part("content", "vztmpl") + file("x.tar.gz", "x");
    const nfs = await upload(template, { path: "/nodes/pve1/storage/nfs-shared/upload" });
    expect(nfs.reply.reason).toBe("storage 'nfs-shared' does not support 'vztmpl' content");
  });

  test("is nothing that other paths take", async () => {
    const { reply } = await upload(part("content", "iso") + file("up.iso", "x"), {
      path: "/nodes/pve1/storage/local/download-url",
    });
    expect(reply.status).toBe(506);
  });
});
