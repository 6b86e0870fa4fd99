import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const site = "https://mirror.example/";
const sums = { url: `${site}a.iso` };
const long = `${"a".repeat(300)}.iso`;

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

async function download(args: Record<string, unknown>) {
  const url = args["url"];
  if (typeof url === "string" && URL.canParse(url)) {
    const served = { sizeBytes: 1024 ** 2, bytes: url };
    server.simulator.world.web.set(new URL(url).href.replace(/#.*/, ""), served);
  }
  return server.act("download_storage", {
    storage: "local",
    node: "pve1",
    content: "iso",
    ...args,
  });
}

const onPve1 = (volid: unknown) => server.simulator.world.volumes.get(`pve1/${volid}`);

describe("the name on the storage", () => {
  test.each([
    ["iso", "a.iso", undefined, "local:iso/a.iso"],
    ["iso", "dir/UPPER.ISO?sig=1#x", undefined, "local:iso/UPPER.ISO"],
    ["iso", "with%20space%2Fand%2F..%2Fslash.iso", undefined, "local:iso/slash.iso"],
    ["iso", "100%.iso", undefined, "local:iso/100_.iso"],
    ["iso", "x", "../../../etc/cron.d/a.iso", "local:iso/a.iso"],
    ["iso", "x", "..\\..\\a.iso", "local:iso/a.iso"],
    ["iso", "x", "a b:c;d.iso", "local:iso/a_b_c_d.iso"],
    ["iso", "x", "naïve.img", "local:iso/na_ve.img"],
    ["vztmpl", "t.tar.zst", undefined, "local:vztmpl/t.tar.zst"],
    ["vztmpl", "t.tar.gz", undefined, "local:vztmpl/t.tar.gz"],
    ["import", "d.qcow2", undefined, "local:import/d.qcow2"],
    ["import", "cloud.img", "cloud.qcow2", "local:import/cloud.qcow2"],
  ])("%s from %s, filename %s: %s", async (content, from, filename, volid) => {
    const { data, sent, text } = await download({
      url: site + from,
      content,
      ...(filename !== undefined && { filename }),
    });
    expect(data["volid"], text).toBe(volid);
    expect(sent[0]?.body["filename"]).toBe(volid.slice(volid.indexOf("/") + 1));
    expect(onPve1(volid)).toBeDefined();
  });

  test.each(["gz", "zst", "bz2", "lzo"])("an image packed with %s is unpacked", async (kind) => {
    const { data, sent } = await download({ url: `${site}a.img.${kind}` });
    expect(data["volid"]).toBe("local:iso/a.img");
    expect(sent[0]?.body).toMatchObject({ filename: "a.img", compression: kind });
    expect(onPve1("local:iso/a.img")?.sizeBytes).toBe(2 * 1024 ** 2);
  });

  test("also under a name that does not tell", async () => {
    const { sent } = await download({ url: `${site}a.iso.gz`, filename: "b.iso" });
    expect(sent[0]?.body).toMatchObject({ filename: "b.iso", compression: "gz" });
  });

  test("what was unpacked has no checksum to compare: the file that is there is a conflict", async () => {
    const args = { url: `${site}a.iso.gz`, checksum: "0".repeat(32) };
    await download({ url: `${site}a.iso.gz` });
    const { kind, sent } = await download(args);
    expect(kind).toBe("conflict");
    expect(sent).toEqual([]);
  });
});

describe("a checksum as publishers write it", () => {
  const bytes = `${site}a.iso`;
  const sum = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex");
  test.each([
    ["sha256", `sha256:${sum("sha256")}`],
    ["sha512", `SHA-512: ${sum("sha512")}`],
    ["sha256", `SHA256 (a.iso) = ${sum("sha256")}`],
    ["sha256", `${sum("sha256")}  a.iso`],
    ["sha512", `${sum("sha512")} *./images/a.iso\n`],
    ["md5", `MD5 (some other name.iso) = ${sum("md5").toUpperCase()}`],
  ])("%s: %s", async (algorithm, checksum) => {
    const { data, text, sent } = await download({ url: bytes, checksum });
    expect(data, text).toMatchObject({ changed: true });
    expect(sent[0]?.body).toMatchObject({ "checksum-algorithm": algorithm });
    expect(String(sent[0]?.body["checksum"]).toLowerCase()).toBe(sum(algorithm));
    const there = await download({ url: bytes, checksum });
    expect(there.data).toMatchObject({ changed: false });
  });
});

test("a plan refuses what would be refused", async () => {
  const answer = await download({ url: site + long, dry_run: true });
  expect(answer.kind).toBe("invalid_input");
  expect(answer.text).toContain(`Give a shorter one as filename, such as "${"a".repeat(56)}.iso".`);
  const given = { url: site + long, filename: `${"a".repeat(251)}.iso` };
  expect((await download(given)).data).toMatchObject({ changed: true });
});

describe("refused before anything is sent", () => {
  test.each([
    ["another scheme", { url: "ftp://mirror.example/a.iso" }, "http"],
    ["a file", { url: "file:///etc/passwd" }, "http"],
    ["no address", { url: "mirror.example/a.iso" }, "whole URL"],
    ["no name", { url: `${site}download?id=3` }, "filename"],
    ["nothing but an ending", { url: `${site}x`, filename: "/.iso" }, "must"],
    ["another ending", { url: `${site}a.exe` }, ".iso or .img"],
    ["a name of dots", { url: `${site}x`, filename: ".." }, "must"],
    ["xz", { url: `${site}a.iso.xz` }, "unpack"],
    ["a packed import", { url: `${site}a.qcow2.gz`, content: "import" }, "unpack"],
    ["a cloud image", { url: `${site}noble.img`, content: "import" }, '"noble.qcow2"'],
    ["a template that is none", { url: `${site}a.zip`, content: "vztmpl" }, ".tar.zst"],
    ["a name from the address that is too long", { url: `${site}${long}` }, '"aaaa'],
    [
      "such a name of a template",
      { url: `${site}${"a".repeat(250)}.tar.gz`, content: "vztmpl" },
      "257",
    ],
    ["an algorithm alone", { url: `${site}a.iso`, checksum_algorithm: "md5" }, "both"],
    ["a checksum of no length", { url: `${site}a.iso`, checksum: "abc" }, "sha256 64"],
    ["a checksum of letters", { url: `${site}a.iso`, checksum: "xyz" }, "hexadecimal"],
    [
      "a checksum of another algorithm",
      { url: `${site}a.iso`, checksum: "0".repeat(32), checksum_algorithm: "sha1" },
      "sha1 40",
    ],
    [
      "a checksum that says another algorithm",
      { ...sums, checksum: `sha1:${"0".repeat(64)}` },
      "64 digits",
    ],
    [
      "two algorithms",
      { ...sums, checksum: `md5:${"0".repeat(32)}`, checksum_algorithm: "sha1" },
      "is of md5",
    ],
    [
      "an algorithm that nobody knows",
      { ...sums, checksum: `foo1:${"0".repeat(64)}` },
      "foo1 does not",
    ],
    ["a name without a checksum", { ...sums, checksum: "SHA256 (a.iso) = " }, "hexadecimal"],
    [
      "two lines",
      { ...sums, checksum: `${"0".repeat(64)}  a.iso\n${"1".repeat(64)}  b.iso` },
      "this file",
    ],
  ])("%s", async (_, args, hint) => {
    const { kind, text, sent } = await download(args);
    expect(kind).toBe("invalid_input");
    expect(text).toContain(hint);
    expect(sent).toEqual([]);
  });

  test("a password, which no answer repeats", async () => {
    const { kind, text, sent, facts } = await download({
      url: "https://user:hunter2@mirror.example/a.iso",
    });
    expect(kind).toBe("invalid_input");
    expect(sent).toEqual([]);
    expect(text + JSON.stringify(facts)).not.toContain("hunter2");
  });
});

test("the query of a signed URL is sent and never repeated", async () => {
  const url = `${site}a.iso?signature=topsecret`;
  const messages: (string | undefined)[] = [];
  const dry = await download({ url, dry_run: true });
  const { sent, ...ok } = await download({ url });
  expect(sent[0]?.body["url"]).toBe(url);
  server.simulator.world.web.delete(url);
  const failed = await server.call(
    "download_storage",
    { storage: "local", node: "pve1", content: "iso", url, filename: "b.iso" },
    { onProgress: ({ message }) => messages.push(message) },
  );
  expect(failed.kind).toBe("task_failed");
  const said = JSON.stringify([dry.text, dry.data, ok, failed, messages]);
  expect(said).not.toContain("topsecret");
  expect(failed.text).toContain("a.iso?…");
});

test.each([
  ["a parameter", 400, { errors: { url: "value 'URL' does not match" } }],
  ["a message", 500, { message: "can't fetch URL: no way\n" }],
  ["a reason phrase", 500, undefined],
])("nor when Proxmox repeats it in a refusal: %s", async (_, status, answer) => {
  const url = "https://me:topsecret@mirror.example/c.iso?signature=topsecret#topsecret";
  const body = answer && JSON.stringify({ data: null, ...answer }).replace("URL", url);
  const reason = `trouble with ${url}`;
  const headers = { "content-type": "application/json" };
  server.simulator.faults.reply(
    { status, reason, headers, ...(body && { body }) },
    { method: "POST", path: /download-url$/ },
  );
  const failed = await download({ url: `${site}a.iso` });
  expect(failed.isError).toBe(true);
  expect(failed.text).toContain("//…@mirror.example/c.iso?…");
  const { sent: __, ...answered } = failed;
  expect(JSON.stringify([answered, server.logged])).not.toContain("topsecret");
});

test("nor does get_tasks repeat it, in log, exit status or list, whoever began the task", async () => {
  const url = `${site}a.iso?signature=topsecret#also-secret`;
  const { data } = await download({ url });
  const failing = "https://me:topsecret@mirror.example/b.iso?signature=topsecret";
  const upid = "UPID:pve1:000006F2:0001E240:6955CF0F:download:b.iso:root@pam:";
  const exit = `download of '${failing}' failed`;
  const path = new RegExp(`${upid}/(status|log)$`);
  const begun = Math.floor(server.clock.now() / 1000);
  const row = { upid, node: "pve1", type: "download", id: "b.iso", user: "root@pam" };
  const reply = (pattern: RegExp, answer: unknown) =>
    server.simulator.faults.reply(
      {
        status: 200,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ data: answer }),
      },
      { method: "GET", path: pattern },
    );
  reply(new RegExp(`${upid}/status$`), { status: "stopped", exitstatus: exit });
  reply(path, [{ n: 1, t: `downloading ${failing} to /b.iso` }]);
  reply(/\/tasks$/, [{ ...row, starttime: begun, endtime: begun + 1, status: exit }]);
  const ours = await server.call("get_tasks", { upid: data["upid"] });
  const theirs = await server.call("get_tasks", { upid });
  const failed = await server.call("get_tasks", { state: "failed" });
  const recent = await server.call("get_tasks");
  expect(theirs.data["task"]).toMatchObject({ state: "failed" });
  for (const { text, data: shown } of [ours, theirs, failed, recent]) {
    expect(text + JSON.stringify(shown)).not.toMatch(/topsecret|also-secret/);
  }
  expect(ours.text).toContain("/a.iso?… to ");
  expect(theirs.text).toContain("https://…@mirror.example/b.iso?… to /b.iso");
  expect(failed.text).toContain("b.iso?…");
});

test.each([
  ["download-url", { url: `${site}a.iso` }, "local:iso/a.iso"],
  ["aplinfo", { content: "vztmpl", url: "debian-12-standard" }, "local:vztmpl/debian-12-standard"],
])("an answer of %s that got lost sends to the storage", async (call, args, volid) => {
  server.simulator.faults.cutAfterWorld({ method: "POST", path: new RegExp(`${call}$`) });
  const { kind, text } = await download(args);
  expect(kind).toBe("outcome_unknown");
  expect(text).toContain('get_tasks {node: "pve1"}');
  expect(text).toMatch(/list_storage \{storage: "local", node: "pve1", max_age_s: 0\}/);
  expect(text).toContain(volid);
  expect(text).not.toContain("get_vm");
});
