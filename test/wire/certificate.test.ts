import { X509Certificate } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { undiciTransport } from "../../src/http/undici-transport.ts";
import { type Listener, listen } from "../../src/simulator/listen.ts";
import { type Certificate, certificate } from "../certificate.ts";
import { httpsLab } from "./https.ts";

const fingerprintOf = ({ cert }: Certificate) => new X509Certificate(cert).fingerprint256;
/** Enough new connections to meet old and new several times. */
const rounds = 6;

let own: Certificate;
let next: Certificate;
let stranger: Certificate;

beforeAll(async () => {
  own = await certificate("pve1");
  next = await certificate("pve1.lab.example");
  stranger = await certificate("stranger");
});

/** The node pve1 behind HTTPS, recognised by the fingerprint of its own certificate. */
async function start() {
  const listeners: Listener[] = [];
  const server = await httpsLab({
    listening: async (simulator) => {
      const listener = await listen(simulator, { ...own, node: "pve1" });
      listeners.push(listener);
      const tls = { fingerprints: [fingerprintOf(own)] };
      return { listener, transport: undiciTransport({ url: listener.url, tls }) };
    },
  });
  const [listener] = listeners;
  const files = server.simulator.world.nodes.get("pve1")?.certificates;
  if (!listener || !files) throw new Error("no node pve1");
  const upload = { node: "pve1", certificate: next.cert, key: next.key };
  const sent = (mark: number) =>
    server.simulator.log.paths(mark).filter((line) => !line.startsWith("GET"));
  const create = (more: Record<string, unknown> = {}) =>
    server.call("create_certificate", { ...upload, force: true, ...more });
  const shown = async () => {
    const { data } = await server.call("list_certificates", { node: "pve1", max_age_s: 0 });
    const all = data["certificates"] as { served: boolean; use: string }[];
    return all.filter(({ served }) => served).map(({ use }) => use);
  };
  /** A read over a connection that has to be made first. */
  const readAnew = async () => {
    const before = listener.connections;
    listener.hangUp();
    await new Promise((resolve) => setImmediate(resolve));
    const answer = await server.call("get_vm", { vm: "web-1", max_age_s: 0 });
    // Who refuses what a host shows hangs up before that host counts it.
    if (!answer.isError) expect(listener.connections).toBeGreaterThan(before);
    return answer;
  };
  return { server, files, sent, create, shown, readAnew };
}

test("a pinned node is reached while old and new certificate alternate, and after; a third one is refused", async () => {
  const { server, files, create, readAnew } = await start();
  const created = await create();
  expect(created.data, created.text).toMatchObject({
    changed: true,
    pin: `PROXMOX_FINGERPRINT=${fingerprintOf(next)}`,
  });
  expect(files.before).toBeDefined();
  for (let round = 0; round < rounds; round++) {
    const { isError, text } = await readAnew();
    expect(isError, text).toBe(false);
  }
  await server.clock.advance(10_000);
  const { isError, text } = await readAnew();
  expect(isError, text).toBe(false);
  expect(files.before).toBeUndefined();

  const { loaded } = files;
  files.loaded = stranger;
  const mark = server.simulator.log.mark();
  const refused = await readAnew();
  expect(refused.isError).toBe(true);
  expect(refused.text).toContain(fingerprintOf(stranger));
  expect(server.simulator.log.mark()).toBe(mark);
  files.loaded = loaded;

  const removed = await server.call("delete_certificate", { node: "pve1", force: true });
  expect(removed.data, removed.text).toMatchObject({ changed: true });
  for (let round = 0; round < rounds; round++) expect((await readAnew()).isError).toBe(false);
});

test("what the node shows proves that a certificate is there, and that it is not", async () => {
  const { server, files, sent, create, shown, readAnew } = await start();
  await create({ restart: false });
  expect(await shown()).toEqual(["own"]);
  await server.clock.advance(120_000);
  const again = await create();
  expect(again.data, again.text).toMatchObject({ changed: true });
  expect(files.restarts).toBe(1);

  await server.clock.advance(120_000);
  await readAnew();
  expect(await shown()).toEqual(["custom"]);
  const mark = server.simulator.log.mark();
  const third = await create({ force: false });
  expect(third.data, third.text).toMatchObject({ changed: false });
  expect(sent(mark)).toEqual([]);

  files.loaded = files.own; // the key that was stored did not fit, say
  const fourth = await create({ force: false });
  expect(fourth.data, fourth.text).toMatchObject({ changed: true });
});
