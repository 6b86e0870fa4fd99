import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { Trust } from "../../src/http/trust.ts";
import { undiciTransport } from "../../src/http/undici-transport.ts";
import { authority } from "../../src/simulator/certificates.ts";
import { type Listener, listen } from "../../src/simulator/listen.ts";
import { type Certificate, certificate } from "../certificate.ts";
import { httpsLab } from "./https.ts";

const fingerprintOf = ({ cert }: Certificate) => new X509Certificate(cert).fingerprint256;
/** What the lab calls its host, by which it dials, and by which the node of it is called. */
const names = ["simulator", "pve1", "127.0.0.1"];

let root: Certificate;
let own: Certificate;
let next: Certificate;

beforeAll(async () => {
  root = await certificate("Lab Root", { authority: true });
  own = await certificate("pve1", { names, issuer: root });
  next = await certificate("pve1.lab.example", { names });
});

/** The node pve1 behind HTTPS with a certificate of `Lab Root`, recognised by `tls`. */
async function start(tls: Trust) {
  const listeners: Listener[] = [];
  const server = await httpsLab({
    listening: async (simulator) => {
      const listener = await listen(simulator, { ...own, node: "pve1" });
      listeners.push(listener);
      return { listener, transport: undiciTransport({ url: listener.url, tls }) };
    },
  });
  const pve1 = server.simulator.world.nodes.get("pve1");
  if (!pve1) throw new Error("no node pve1");
  const files = pve1.certificates;
  const sent = () => server.simulator.log.changes().map(({ method }) => method);
  const upload = ({ cert, key }: Certificate, more: Record<string, unknown> = {}) =>
    server.call("create_certificate", { node: "pve1", certificate: cert, key, ...more });
  const remove = (more: Record<string, unknown> = {}) =>
    server.call("delete_certificate", { node: "pve1", ...more });
  /** What the node is said to show to who has to connect first. */
  const shown = async () => {
    for (const listener of listeners) listener.hangUp();
    await new Promise((resolve) => setImmediate(resolve));
    const { data } = await server.call("list_certificates", { node: "pve1", max_age_s: 0 });
    const all = data["certificates"] as { served: boolean; use: string }[];
    return all.filter(({ served }) => served).map(({ use }) => use);
  };
  return { server, files, sent, upload, remove, shown };
}

describe("a node that is recognised by its fingerprint", () => {
  const pin = () => `PROXMOX_FINGERPRINT=${fingerprintOf(next)}`;

  test("keeps its certificate until the new fingerprint was told", async () => {
    const { files, sent, upload } = await start({ fingerprints: [fingerprintOf(own)] });
    const first = await upload(next);
    expect(first).toMatchObject({
      kind: "confirmation_required",
      facts: { shown: fingerprintOf(own), fingerprint: fingerprintOf(next), pin: pin() },
    });
    expect(first.text).toBe(
      `confirmation_required: This server recognises pve1 by its fingerprint, ${fingerprintOf(own)}, which becomes ${fingerprintOf(next)}: it accepts the new one besides the old one as long as it runs, and after that only what its configuration says. Nothing was sent. Have ${pin()} put into this server's configuration, and repeat the call with force: true.`,
    );
    const plan = await upload(next, { dry_run: true });
    expect(plan.data["plan"]).toMatchObject({ against: [{ kind: "confirmation_required" }] });
    expect(sent()).toEqual([]);
    expect(files.custom).toBeUndefined();
    const second = await upload(next, { force: true });
    expect(second.data, second.text).toMatchObject({ changed: true, pin: pin() });
    expect(second.text).toContain(`which becomes ${fingerprintOf(next)}`);
  });

  test("and that has a custom one, is told of both at once; the way back is told as well", async () => {
    const { sent, upload, remove } = await start({ fingerprints: [fingerprintOf(own)] });
    await upload(next, { force: true });
    const third = await certificate("third", { names });
    const again = await upload(third);
    expect(again.kind).toBe("conflict");
    expect(again.text).toContain("has a custom certificate already");
    expect(again.text).toContain(`PROXMOX_FINGERPRINT=${fingerprintOf(third)}`);
    const back = await remove();
    expect(back.kind).toBe("confirmation_required");
    expect(back.text).toContain(`PROXMOX_FINGERPRINT=${fingerprintOf(own)} put`);
    expect(sent()).toEqual(["POST"]);
    const removed = await remove({ force: true });
    expect(removed.data, removed.text).toMatchObject({ changed: true });
  });

  test("gets at once what its configuration expects already", async () => {
    const fingerprints = [fingerprintOf(next), fingerprintOf(own)];
    const { upload } = await start({ fingerprints });
    const answer = await upload(next);
    expect(answer.data, answer.text).toMatchObject({ changed: true, pin: pin() });
  });
});

describe("a node that is recognised by an authority", () => {
  test("keeps its certificate where the new one is of another, which would lock this server out", async () => {
    const { server, files, sent, upload } = await start({ ca: root.cert });
    const first = await upload(next);
    expect(first).toMatchObject({ kind: "conflict", facts: { node: "pve1" } });
    expect(first.text).toBe(
      `conflict: With that certificate this server could not reach pve1 any more: its chain does not end at the authority of PROXMOX_CA_FILE. Nothing was sent. Give one for simulator whose chain ends at the authority of PROXMOX_CA_FILE; or have PROXMOX_FINGERPRINT=${fingerprintOf(next)} put into this server's configuration and repeat the call with force: true.`,
    );
    expect(sent()).toEqual([]);
    expect(files.custom).toBeUndefined();
    const forced = await upload(next, { force: true });
    expect(forced.data, forced.text).toMatchObject({ changed: true });
    expect(forced.text).toContain("could not reach pve1 any more");
    await server.clock.advance(10_000);
    const lost = await server.call("get_node", { node: "pve1", max_age_s: 0 });
    expect(lost.kind, lost.text).toBe("unreachable");
  });

  test("keeps it where the new one is for none of the names that are dialled", async () => {
    const { sent, upload } = await start({ ca: root.cert });
    const other = await certificate("pve1", { issuer: root });
    const answer = await upload(other);
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("it is not for simulator, which this server dials");
    expect(sent()).toEqual([]);
  });

  test("gets one of the same authority", async () => {
    const { server, sent, upload } = await start({ ca: root.cert });
    const good = await certificate("pve1", { names, issuer: root });
    const answer = await upload({ ...good, cert: good.cert + root.cert });
    expect(answer.data, answer.text).toMatchObject({ changed: true });
    expect(answer.text).not.toContain("could not reach");
    expect(sent()).toEqual(["POST"]);
    await server.clock.advance(10_000);
    expect((await server.call("get_node", { node: "pve1", max_age_s: 0 })).isError).toBe(false);
  });

  test("keeps it where its own, shown again, is of an authority that is not trusted", async () => {
    const { server, files, sent, upload, remove } = await start({ ca: root.cert });
    const good = await certificate("pve1", { names, issuer: root });
    await upload(good);
    if (files.own.info) {
      files.own = { ...files.own, info: { ...files.own.info, issuer: authority.subject } };
    }
    await server.clock.advance(120_000);
    const first = await remove();
    expect(first.kind, first.text).toBe("conflict");
    expect(first.text).toContain("the cluster's own authority is not the authority of PROXMOX_CA");
    expect(first.text).toContain("/etc/pve/pve-root-ca.pem");
    expect(sent()).toEqual(["POST"]);
    const forced = await remove({ force: true });
    expect(forced.data, forced.text).toMatchObject({ changed: true });
  });

  test("shows what is in no file any more where others put another one there, and did not restart it", async () => {
    const { server, files, upload } = await start({ ca: root.cert });
    const first = await certificate("pve1", { names, issuer: root });
    await upload(first);
    await server.clock.advance(120_000);
    await server.call("get_node", { node: "pve1", max_age_s: 0 });
    server.simulator.outside.replaceCertificate("pve1", next.cert);
    const { data, text } = await server.call("list_certificates", { node: "pve1", max_age_s: 0 });
    expect(data["certificates"]).toMatchObject([
      { use: "former", served: true, subject: "unknown", fingerprint: fingerprintOf(first) },
      { use: "custom", served: false, fingerprint: fingerprintOf(next) },
      { use: "own", served: false },
      {},
    ]);
    expect(text).toContain(`Fingerprints shown:\npve1: ${fingerprintOf(first)}`);
    expect(files.loaded.cert).not.toBe(next.cert);
  });

  test("is said to show the new one, also where an old worker is met some seconds after the restart", async () => {
    const { server, files, upload, shown } = await start({ ca: root.cert });
    await upload(await certificate("pve1", { names, issuer: root }));
    await server.clock.advance(120_000);
    expect(await shown()).toEqual(["custom"]);
    await upload(await certificate("pve1", { names, issuer: root }), { force: true });
    for (let round = 0; round < 4; round++) expect(await shown()).toEqual(["custom"]);
    expect(files.before).toBeDefined();
  });

  test("gets any where every certificate will do", async () => {
    const { upload } = await start({ insecure: true });
    const answer = await upload(next);
    expect(answer.data, answer.text).toMatchObject({ changed: true });
  });
});
