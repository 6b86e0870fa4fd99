import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { CertificateInfo } from "../../src/simulator/certificates.ts";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { type Certificate, certificate } from "../certificate.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

let leaf: Certificate;
let root: Certificate;
let middle: Certificate;
let other: Certificate;
let server: Lab;

beforeAll(async () => {
  root = await certificate("Lab Root", { authority: true });
  middle = await certificate("Lab Issuing", { authority: true, issuer: root });
  leaf = await certificate("pve2.lab.example", { issuer: middle });
  other = await certificate("other.lab.example");
});

async function start(options: LabOptions = {}) {
  server = await lab(options);
  return server;
}

const fingerprintOf = ({ cert }: Certificate) => new X509Certificate(cert).fingerprint256;
const filesOf = (node: string) => {
  const found = server.simulator.world.nodes.get(node)?.certificates;
  if (!found) throw new Error(`no node ${node}`);
  return found;
};
const upload = (more: Record<string, unknown> = {}) => ({
  node: "pve2",
  certificate: leaf.cert + middle.cert + root.cert,
  key: leaf.key,
  ...more,
});
const asCustom = (info: CertificateInfo) => ({ ...info, filename: "pveproxy-ssl.pem" });
const sent = (mark: number) =>
  server.simulator.log.paths(mark).filter((line) => !line.startsWith("GET"));

describe("create_certificate", () => {
  test("puts chain and key on the node; the next list shows it", async () => {
    await start();
    await server.call("list_certificates");
    const mark = server.simulator.log.mark();
    const answer = await server.call("create_certificate", upload());
    expect(answer.isError, answer.text).toBe(false);
    expect(sent(mark)).toEqual(["POST /nodes/pve2/certificates/custom"]);
    expect(server.simulator.log.since(mark)).toHaveLength(2);
    expect(answer.data).toMatchObject({
      node: "pve2",
      changed: true,
      certificate: { use: "custom", fingerprint: fingerprintOf(leaf), served: true },
    });
    expect(answer.data).not.toHaveProperty("pin");
    const { custom, restarts } = filesOf("pve2");
    expect(custom?.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(3);
    expect(custom?.key.trim()).toBe(leaf.key.trim().replaceAll("\r", ""));
    expect(restarts).toBe(1);
    const list = await server.call("list_certificates", { node: "pve2" });
    expect(list.text).toContain(fingerprintOf(leaf));
  });

  test("takes line breaks that were spelled out, CRLF, and text around the PEM", async () => {
    await start();
    const odd = `Bag Attributes\nfriendlyName: x\n${upload().certificate}`.replaceAll("\n", "\r\n");
    const key = leaf.key.replaceAll("\r", "").replaceAll("\n", "\\n");
    const answer = await server.call("create_certificate", upload({ certificate: odd, key }));
    expect(answer.data, answer.text).toMatchObject({ changed: true });
  });

  test("says that without a restart the old one stays", async () => {
    await start();
    const answer = await server.call("create_certificate", upload({ restart: false }));
    expect(answer.text).toContain("Without a restart of pveproxy pve2 goes on showing");
    expect(filesOf("pve2").restarts).toBe(0);
    expect(Object.keys(server.simulator.log.changes()[0]?.body ?? {})).toEqual([
      "certificates",
      "key",
    ]);
  });

  test("leaves the same certificate alone, and sends it again by force", async () => {
    await start();
    await server.call("create_certificate", upload());
    const mark = server.simulator.log.mark();
    const again = await server.call("create_certificate", upload());
    expect(again.data).toMatchObject({ changed: false });
    expect(again.text).toContain("nothing was sent");
    expect(sent(mark)).toEqual([]);
    const forced = await server.call("create_certificate", upload({ force: true }));
    expect(forced.data).toMatchObject({ changed: true });
  });

  test("does not replace another one without force, and says what is there", async () => {
    await start();
    await server.call("create_certificate", upload());
    const args = { node: "pve2", certificate: other.cert, key: other.key };
    const mark = server.simulator.log.mark();
    const answer = await server.call("create_certificate", args);
    expect(answer).toMatchObject({ kind: "conflict", facts: { node: "pve2" } });
    expect(answer.text).toMatch(/pve2\.lab\.example, valid until 2028-01-01.*force: true/s);
    expect(sent(mark)).toEqual([]);
    const forced = await server.call("create_certificate", { ...args, force: true });
    expect(forced.data).toMatchObject({ changed: true });
    expect(filesOf("pve2").custom?.info?.fingerprint).toBe(fingerprintOf(other));
  });

  test("overwrites a broken file that no list shows, though force was not given", async () => {
    await start();
    filesOf("pve2").custom = { cert: "broken", key: "broken" };
    const mark = server.simulator.log.mark();
    const answer = await server.call("create_certificate", upload());
    expect(answer.data, answer.text).toMatchObject({ changed: true });
    expect(sent(mark)).toHaveLength(2);
    expect(filesOf("pve2").custom?.info?.fingerprint).toBe(fingerprintOf(leaf));
  });

  test("does not overwrite what somebody else put there meanwhile", async () => {
    let theirs: unknown;
    await start({
      wire: (simulator) => ({
        send: (request) => {
          const files = simulator.world.nodes.get("pve2")?.certificates;
          if (request.method === "POST" && files) {
            files.custom = {
              ...files.own,
              ...(files.own.info && { info: asCustom(files.own.info) }),
            };
            theirs = files.custom;
          }
          return simulator.send(request);
        },
        close: () => simulator.close(),
      }),
    });
    const answer = await server.call("create_certificate", upload());
    expect(answer.kind, answer.text).toBe("conflict");
    expect(filesOf("pve2").custom).toBe(theirs);
  });

  test("warns where the certificate is for another host", async () => {
    await start();
    const args = { node: "pve2", certificate: other.cert, key: other.key };
    const answer = await server.call("create_certificate", args);
    expect(answer.data).toMatchObject({ changed: true });
    expect(answer.text).toContain("for none of the node's names: pve2, 192.0.2.12, pve2.lab");
    const fits = await server.call("create_certificate", upload({ force: true }));
    expect(fits.text).not.toContain("none of the node's names");
  });

  test("dry_run sends nothing, shows no key, and says what speaks against it", async () => {
    await start();
    await server.call("create_certificate", { ...upload(), node: "pve1" });
    const mark = server.simulator.log.mark();
    const args = { node: "pve1", certificate: other.cert, key: other.key, dry_run: true };
    const answer = await server.call("create_certificate", args);
    expect(sent(mark)).toEqual([]);
    expect(answer.data).toMatchObject({
      changed: false,
      plan: {
        requests: [
          {
            method: "POST",
            path: "/nodes/pve1/certificates/custom",
            params: { certificates: "(PEM, 1 certificate)", key: "(secret)", restart: true },
          },
        ],
        against: [{ kind: "conflict" }],
      },
    });
    expect(filesOf("pve1").custom?.info?.fingerprint).toBe(fingerprintOf(leaf));
  });

  test("a right that is missing is named with the command that grants it", async () => {
    await start({ token: auditorToken });
    const answer = await server.call("create_certificate", upload());
    expect(answer.kind).toBe("forbidden");
    expect(answer.text).toContain("Sys.Modify on /nodes/pve2");
    expect(answer.text).toContain("pveum acl modify /nodes/pve2 --users");
    expect(filesOf("pve2").custom).toBeUndefined();
  });

  test.each(["create_certificate", "delete_certificate"])(
    "%s: a node must be there and up",
    async (tool) => {
      await start();
      const args = tool === "create_certificate" ? upload() : { node: "pve2" };
      const missing = await server.call(tool, { ...args, node: "pve9" });
      expect(missing).toMatchObject({ kind: "not_found", facts: { argument: "node" } });
      const pve2 = server.simulator.world.nodes.get("pve2");
      if (pve2) pve2.online = false;
      const silent = await server.call(tool, args);
      expect(silent.kind).toBe("unreachable");
      expect(sent(0)).toEqual([]);
    },
  );

  test("an answer that was lost is told as such, with where to look", async () => {
    await start();
    server.simulator.faults.cutAfterWorld({ method: "POST", times: 1 });
    const answer = await server.call("create_certificate", upload());
    expect(answer.kind).toBe("outcome_unknown");
    expect(answer.text).toContain('list_certificates {node: "pve2", max_age_s: 0}');
    expect(sent(0)).toHaveLength(1);
  });
});

describe("the same certificate again", () => {
  test("is sent where it was stored without a restart, and restarts pveproxy then", async () => {
    await start();
    const first = await server.call("create_certificate", upload({ restart: false }));
    expect(first.data).toMatchObject({ certificate: { served: false } });
    const list = await server.call("list_certificates", { node: "pve2" });
    expect(list.data["certificates"]).toMatchObject([
      { use: "custom", served: false },
      { use: "own", served: true },
      { use: "authority", served: false },
    ]);
    const still = await server.call("create_certificate", upload({ restart: false }));
    expect(still.data).toMatchObject({ changed: false, certificate: { served: false } });
    const again = await server.call("create_certificate", upload());
    expect(again.data, again.text).toMatchObject({ changed: true, certificate: { served: true } });
    expect(filesOf("pve2").restarts).toBe(1);
    const after = await server.call("list_certificates", { node: "pve2" });
    expect(after.data["certificates"]).toMatchObject([
      { use: "custom", served: true },
      { use: "own", served: false },
      {},
    ]);
  });

  test("is not sent again, however late, where this server has put it there", async () => {
    await start();
    await server.call("create_certificate", upload());
    const mark = server.simulator.log.mark();
    for (const minutes of [2, 600]) {
      await server.clock.advance(minutes * 60_000);
      const plan = await server.call("create_certificate", upload({ dry_run: true }));
      expect(plan.data).not.toHaveProperty("plan");
      const again = await server.call("create_certificate", upload());
      expect(again.data).toMatchObject({ changed: false, certificate: { served: true } });
      expect(again.text).toContain("has that certificate already (force: true sends it again)");
    }
    expect(sent(mark)).toEqual([]);
    expect(filesOf("pve2").restarts).toBe(1);
    const forced = await server.call("create_certificate", upload({ force: true }));
    expect(forced.data["changed"]).toBe(true);
  });

  test("is sent where it was put by somebody else, who may have put another key there", async () => {
    await start();
    await server.call("create_certificate", upload());
    const { custom } = filesOf("pve2");
    if (custom) filesOf("pve2").custom = { ...custom, key: other.key };
    const { world } = server.simulator;
    await start({ world });
    const plan = await server.call("create_certificate", upload({ dry_run: true }));
    expect(plan.data["plan"]).toMatchObject({
      requests: [{ params: { force: true, restart: true } }],
      against: [],
    });
    const answer = await server.call("create_certificate", upload());
    expect(answer.data, answer.text).toMatchObject({ changed: true });
    const { key } = world.nodes.get("pve2")?.certificates.custom ?? {};
    expect(key?.trim()).toBe(leaf.key.trim().replaceAll("\r", ""));
  });

  test("is sent where others have taken it away since", async () => {
    await start();
    await server.call("create_certificate", upload());
    filesOf("pve2").custom = undefined;
    await server.clock.advance(120_000);
    const answer = await server.call("create_certificate", upload());
    expect(answer.data, answer.text).toMatchObject({ changed: true });
  });

  test("is sent where its chain is another than the one sent before", async () => {
    await start();
    await server.call("create_certificate", upload({ certificate: leaf.cert }));
    const answer = await server.call("create_certificate", upload());
    expect(answer.data, answer.text).toMatchObject({ changed: true });
    expect(filesOf("pve2").custom?.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(3);
  });
});
