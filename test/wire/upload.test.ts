import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { filesBelow } from "../../src/files.ts";
import { undiciTransport } from "../../src/http/undici-transport.ts";
import { listen } from "../../src/simulator/listen.ts";
import { certificate } from "../certificate.ts";
import { TlsHost } from "../http/tls-host.ts";
import { tools } from "../kit.ts";
import { host } from "../simulator/host.ts";
import { httpsLab } from "./https.ts";

const mib = 1024 ** 2;

function start() {
  const folder = mkdtempSync(join(tmpdir(), "upload-"));
  writeFileSync(join(folder, "big.iso"), Buffer.alloc(24 * mib + 17, "0123456789abcdef"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return httpsLab({ tools, files: filesBelow(folder) });
}

const order = { storage: "nfs-shared", file: "big.iso", content: "iso" };

test("a file crosses real HTTPS whole, in one request with its length", async () => {
  const server = await start();
  const { data, text } = await server.call("upload_storage", order);
  expect(data, text).toMatchObject({ changed: true, task: { state: "ok" } });
  const stored = server.simulator.world.volumes.get("/nfs-shared:iso/big.iso");
  expect(stored?.sizeBytes).toBe(24 * mib + 17);
  expect(server.simulator.log.changes().map(({ path }) => path)).toEqual([
    "/nodes/pve1/storage/nfs-shared/upload",
  ]);
});

test("an upload that the host answers with nothing is sent once", async () => {
  const server = await start();
  server.simulator.faults.cutAfterWorld({ method: "POST" });
  const { kind, facts } = await server.call("upload_storage", order);
  expect(kind).toBe("outcome_unknown");
  expect(facts["sentBytes"]).toBe(24 * mib + 17);
  expect(server.simulator.log.changes()).toHaveLength(1);
});

const request = { method: "POST", path: "/api2/json/x", headers: {} } as const;
const piece = Buffer.alloc(64 * 1024, "x");

test("a stream leaves piece by piece, with its length before it and no chunks", async () => {
  let whole = "";
  const pems = await certificate("127.0.0.1");
  const tls = new TlsHost(pems, (chunk, socket) => {
    whole += chunk;
    if (whole.length > 40 * piece.length) {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    }
  });
  const url = await tls.listen();
  const transport = undiciTransport({ url, tls: { fingerprints: [tls.fingerprint] } });
  onTestFinished(async () => {
    await transport.close();
    await tls.close();
  });
  const open = async function* () {
    for (let index = 0; index < 40; index++) yield piece;
  };
  const stream = { length: 40 * piece.length, open };
  expect((await transport.send({ ...request, stream })).body).toBe("ok");
  expect(whole).toContain(`content-length: ${stream.length}\r\n`);
  expect(whole).not.toMatch(/transfer-encoding/i);
});

test.each([
  ["breaks off", 3],
  ["is shorter than it says", 2],
])("a stream that %s ends the request, as one that left", async (_, pieces) => {
  const pems = await certificate("127.0.0.1");
  const pve = host();
  const listener = await listen(pve.simulator, pems);
  const transport = undiciTransport({ url: listener.url, tls: { insecure: true } });
  onTestFinished(async () => {
    await transport.close();
    await listener.close();
  });
  const open = async function* () {
    for (let index = 0; index < 2; index++) yield piece;
    if (pieces > 2) throw new Error("the disk is gone");
  };
  const sending = transport.send({ ...request, stream: { length: 4 * piece.length, open } });
  await expect(sending).rejects.toMatchObject({ name: "WireFault", sent: true });
});
