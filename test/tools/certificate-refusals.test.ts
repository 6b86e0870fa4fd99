import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { filesBelow } from "../../src/files.ts";
import { type Certificate, certificate } from "../certificate.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

let root: Certificate;
let middle: Certificate;
let leaf: Certificate;
let other: Certificate;
let server: Lab;

beforeAll(async () => {
  root = await certificate("Lab Root", { authority: true });
  middle = await certificate("Lab Issuing", { authority: true, issuer: root });
  leaf = await certificate("pve2", { issuer: middle });
  other = await certificate("other");
});

async function start(options: LabOptions = {}) {
  server = await lab(options);
  return server;
}

/** What a call is answered with that sends nothing, whatever it was. */
async function refused(args: Record<string, unknown>) {
  const answer = await server.call("create_certificate", { node: "pve2", ...args });
  expect(server.simulator.log.changes().map(({ path }) => path)).toEqual([]);
  return answer;
}

describe("before anything is sent", () => {
  test("garbage is refused, and said which", async () => {
    await start();
    const { key } = leaf;
    const inside = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const badKey = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (const [args, words] of [
      [{ certificate: "garbage", key }, /no PEM certificate/],
      [{ certificate: key, key }, /no PEM certificate/],
      [{ certificate: inside, key }, /Certificate 1 of the chain cannot be read/],
      [{ certificate: leaf.cert + inside, key }, /Certificate 2 of the chain cannot be read/],
      [{ certificate: leaf.cert, key: "garbage" }, /no PEM private key/],
      [{ certificate: leaf.cert, key: leaf.cert }, /no PEM private key/],
      [{ certificate: leaf.cert, key: badKey }, /private key cannot be read/],
      [{ certificate: leaf.cert }, /key is missing/],
      [{ key }, /certificate is missing/],
    ] as const) {
      const answer = await refused(args);
      expect(answer.kind).toBe("invalid_input");
      expect(answer.text).toMatch(words);
      expect(answer.text).toMatch(/(?:own first|END line|as it is in its file|in PEM)\.$/);
    }
  });

  test("a key that belongs to another certificate is refused", async () => {
    await start();
    const answer = await refused({ certificate: leaf.cert, key: other.key });
    expect(answer).toMatchObject({ kind: "invalid_input", facts: { argument: "key" } });
    expect(answer.text).toContain("does not belong to the certificate of CN=pve2");
  });

  test.each([
    ["root first", () => root.cert + middle.cert + leaf.cert],
    ["issuers the wrong way round", () => leaf.cert + root.cert + middle.cert],
  ])("the wrong order (%s) is refused with the right one", async (_, chain) => {
    await start();
    const answer = await refused({ certificate: chain(), key: leaf.key });
    expect(answer.kind).toBe("invalid_input");
    expect(answer.text).toContain("CN=pve2; CN=Lab Issuing; CN=Lab Root");
  });

  test.each([
    ["a stranger", () => leaf.cert + other.cert, "CN=other has no place"],
    ["a gap", () => leaf.cert + root.cert, "CN=Lab Root has no place"],
  ])("%s in the chain is refused", async (_, chain, words) => {
    await start();
    const answer = await refused({ certificate: chain(), key: leaf.key });
    expect(answer.kind).toBe("invalid_input");
    expect(answer.text).toContain(words);
  });

  test("an issuer of the same name that did not sign is refused", async () => {
    await start();
    const imposter = await certificate("Lab Issuing", { authority: true });
    const answer = await refused({ certificate: leaf.cert + imposter.cert, key: leaf.key });
    expect(answer.text).toContain("has no place in the chain");
  });

  test("what has expired or is not valid yet is refused, also further up the chain", async () => {
    await start();
    const [from, until] = [new Date("2025-01-01"), new Date("2025-12-31")];
    const old = await certificate("pve2", { from, until });
    const early = await certificate("pve2", { from: new Date("2026-06-01") });
    const oldIssuer = await certificate("Old", { authority: true, from, until });
    const young = await certificate("pve2", { issuer: oldIssuer });
    for (const [given, words] of [
      [old, "CN=pve2 expired on 2025-12-31 00:00 UTC"],
      [early, "CN=pve2 is not valid before 2026-06-01 00:00 UTC"],
      [{ ...young, cert: young.cert + oldIssuer.cert }, "CN=Old expired on"],
    ] as const) {
      const answer = await refused({ certificate: given.cert, key: given.key });
      expect(answer.kind).toBe("invalid_input");
      expect(answer.text).toContain(words);
    }
  });

  test("an encrypted key is refused with the way to decrypt it", async () => {
    await start();
    const locked = await certificate("pve2", { passphrase: "x" });
    const { cert, key } = locked;
    const older = key
      .replaceAll("ENCRYPTED PRIVATE", "RSA PRIVATE")
      .replace("\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n");
    for (const one of [key, older]) {
      const answer = await refused({ certificate: cert, key: one });
      expect(answer.kind).toBe("invalid_input");
      expect(answer.text).toMatch(/encrypted.*openssl pkey/s);
    }
  });
});

describe("files", () => {
  function folder() {
    const outer = mkdtempSync(join(tmpdir(), "files-"));
    onTestFinished(() => rmSync(outer, { recursive: true, force: true }));
    const inner = join(outer, "files");
    mkdirSync(join(inner, "tls"), { recursive: true });
    writeFileSync(join(inner, "tls", "pve2.pem"), leaf.cert);
    writeFileSync(join(inner, "tls", "pve2.key"), leaf.key);
    writeFileSync(join(outer, "outside.key"), leaf.key);
    writeFileSync(join(inner, "large.key"), "x".repeat(1024 * 1024 + 1));
    symlinkSync(join(outer, "outside.key"), join(inner, "link.key"));
    symlinkSync(outer, join(inner, "up"));
    symlinkSync("pve2.key", join(inner, "tls", "same.key"));
    return inner;
  }

  test("hold key and certificate, which then pass no model", async () => {
    await start({ files: filesBelow(folder()) });
    for (const key of ["tls/pve2.key", "./tls/same.key"]) {
      const answer = await server.call("create_certificate", {
        node: "pve2",
        certificate_file: "tls/pve2.pem",
        key_file: key,
        force: true,
      });
      expect(answer.data, answer.text).toMatchObject({ changed: true });
    }
  });

  test.each([
    ["../outside.key", "invalid_input"],
    ["tls/../../outside.key", "invalid_input"],
    ["link.key", "invalid_input"],
    ["up/outside.key", "invalid_input"],
    ["/etc/hostname", "invalid_input"],
    ["C:\\key.pem", "invalid_input"],
    ["..\\outside.key", "invalid_input"],
    ["tls", "invalid_input"],
    ["large.key", "invalid_input"],
    ["tls/none.key", "not_found"],
    ["tls/pve2.key/x", "not_found"],
  ])("%s is none of them", async (path, kind) => {
    await start({ files: filesBelow(folder()) });
    const answer = await refused({ certificate: leaf.cert, key_file: path });
    expect(answer).toMatchObject({ kind, facts: { argument: "key_file" } });
  });

  test("one of text and file is wanted, not both", async () => {
    await start({ files: filesBelow(folder()) });
    const both = { key: leaf.key, key_file: "tls/pve2.key" };
    const answer = await refused({ certificate: leaf.cert, ...both });
    expect(answer.text).toContain("Give key or key_file, not both");
  });

  test("without --files are neither listed nor taken", async () => {
    await start();
    const { tools } = await server.client.listTools();
    const listed = tools.find(({ name }) => name === "create_certificate");
    expect(Object.keys(listed?.inputSchema.properties ?? {})).not.toContain("key_file");
    const answer = await refused({ certificate: leaf.cert, key_file: "x" });
    expect(answer.text).toContain("no argument key_file");
    await start({ files: filesBelow(folder()) });
    const more = (await server.client.listTools()).tools.find(
      ({ name }) => name === "create_certificate",
    );
    expect(Object.keys(more?.inputSchema.properties ?? {})).toContain("key_file");
  });
});
