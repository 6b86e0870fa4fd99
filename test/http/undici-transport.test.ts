import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { generate } from "selfsigned";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Transport, WireFault, type WireRequest } from "../../src/http/transport.ts";
import type { Trust } from "../../src/http/trust.ts";
import { undiciTransport } from "../../src/http/undici-transport.ts";
import { type Certificate, selfSigned } from "../certificate.ts";
import { problemOf } from "./fake.ts";
import { http, type Reaction, TlsHost } from "./tls-host.ts";

const get: WireRequest = { method: "GET", path: "/api2/json/version", headers: {} };
const post: WireRequest = { method: "POST", path: "/api2/json/x", headers: {}, body: "a=1&b=2" };
const ok: Reaction = (_, socket) => socket.write(http("200 OK", '{"data":1}'));

let own: Certificate;
let other: Certificate;
let elsewhere: Certificate;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  own = await selfSigned();
  other = await selfSigned();
  const pems = await generate([{ name: "commonName", value: "pve1" }], {
    keyType: "ec",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: "pve1.example" }] },
    ],
  });
  elsewhere = { key: pems.private, cert: pems.cert };
});

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** A host that reacts so, and a transport to it. */
async function pair(react: Reaction, tls?: Trust, certificate = own) {
  const host = new TlsHost(certificate, react);
  const url = await host.listen();
  const transport = undiciTransport({ url, tls: tls ?? { fingerprints: [host.fingerprint] } });
  open.push(transport, host);
  return { host, transport, url };
}

async function faultOf(transport: Transport, request: WireRequest): Promise<WireFault> {
  const error: unknown = await transport.send(request).catch((cause: unknown) => cause);
  if (error instanceof WireFault) return error;
  throw new Error("no fault", { cause: error });
}

describe("a host is trusted", () => {
  test("by its fingerprint, however that is written", async () => {
    const { host, url } = await pair(ok);
    for (const pin of [host.fingerprint.toLowerCase(), host.fingerprint.replaceAll(":", "")]) {
      const transport = undiciTransport({ url, tls: { fingerprints: [pin] } });
      open.push(transport);
      expect((await transport.send(get)).status).toBe(200);
    }
  });

  test("by one of several fingerprints, whatever name its certificate holds", async () => {
    const first = new TlsHost(own, ok).fingerprint;
    const second = new TlsHost(elsewhere, ok).fingerprint;
    const { transport } = await pair(ok, { fingerprints: [first, second] }, elsewhere);
    expect((await transport.send(get)).status).toBe(200);
  });

  test("by its CA, if its name fits too", async () => {
    const fits = await pair(ok, { ca: own.cert });
    expect((await fits.transport.send(get)).status).toBe(200);
    const wrongName = await pair(ok, { ca: elsewhere.cert }, elsewhere);
    const fault = await faultOf(wrongName.transport, post);
    expect(fault).toMatchObject({ code: "CERT_NOT_TRUSTED", sent: false });
    expect(fault.message).toContain("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(wrongName.host.chunks).toEqual([]);
  });

  test("without any check only when told so", async () => {
    const { transport } = await pair(ok, { insecure: true }, elsewhere);
    expect((await transport.send(get)).status).toBe(200);
  });
});

describe("a host is refused before anything is sent", () => {
  test("when its fingerprint is another, and both are named", async () => {
    const expected = new TlsHost(other, ok).fingerprint;
    const { host, transport, url } = await pair(ok, { fingerprints: [expected], ca: own.cert });
    const fault = await faultOf(transport, post);
    expect(fault).toMatchObject({ code: "CERT_FINGERPRINT_MISMATCH", sent: false });
    expect(fault.message).toContain(`fingerprint ${host.fingerprint}`);
    expect(fault.message).toContain(`but ${expected} is expected`);
    const trusted = undiciTransport({ url, tls: { fingerprints: [host.fingerprint] } });
    open.push(trusted);
    await trusted.send(get);
    expect(host.chunks.map((chunk) => chunk.split(" ")[0])).toEqual(["GET"]);
  });

  test("when it is self-signed and nothing is known of it: its fingerprint is ready to paste", async () => {
    const { host, transport } = await pair(ok, {});
    const fault = await faultOf(transport, post);
    expect(fault).toMatchObject({ code: "CERT_NOT_TRUSTED", sent: false });
    expect(fault.message).toContain(`PROXMOX_FINGERPRINT=${host.fingerprint}`);
    expect(fault.message).toContain("pvenode cert info");
    expect(host.chunks).toEqual([]);
  });

  test("when its CA is another", async () => {
    const { host, transport } = await pair(ok, { ca: other.cert });
    expect((await faultOf(transport, post)).code).toBe("CERT_NOT_TRUSTED");
    expect(host.chunks).toEqual([]);
  });

  test("unless the fingerprint given is none at all, which is said at once", async () => {
    const make = async () =>
      undiciTransport({ url: "https://x:8006", tls: { fingerprints: ["AA:BB"] } });
    expect((await problemOf(make())).kind).toBe("invalid_input");
  });
});

describe("an answer", () => {
  test("has the reason phrase of its status line", async () => {
    const { transport } = await pair((_, socket) => {
      socket.end(http("500 VM is locked (backup)", "", "connection: close\r\nX-A: b\r\n"));
    });
    expect(await transport.send(get)).toEqual({
      status: 500,
      reason: "VM is locked (backup)",
      headers: { connection: "close", "x-a": "b", "content-length": "0" },
      body: "",
    });
  });

  test.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["deflate", deflateRawSync],
  ])("in %s is unpacked", async (encoding, pack) => {
    const { host, transport } = await pair((_, socket) => {
      socket.write(http("200 OK", pack('{"data":"ü"}'), `content-encoding: ${encoding}\r\n`));
    });
    expect((await transport.send(get)).body).toBe('{"data":"ü"}');
    expect(host.chunks[0]).toContain("accept-encoding: gzip");
  });

  test.each([
    ["gzip", "not gzip at all"],
    ["br", "x"],
  ])("in %s that cannot be unpacked is none", async (encoding, body) => {
    const { transport } = await pair((_, socket) => {
      socket.write(http("200 OK", body, `content-encoding: ${encoding}\r\n`));
    });
    expect(await faultOf(transport, get)).toMatchObject({ code: "BODY_DECODE", sent: true });
  });

  test("of more than 64 MiB, packed or not, is none", async () => {
    const huge = Buffer.alloc(65 * 1024 * 1024);
    const packed = gzipSync(huge, { level: 1 });
    const { transport } = await pair((request, socket) => {
      if (request.includes("/packed")) {
        socket.write(http("200 OK", packed, "content-encoding: gzip\r\n"));
      } else socket.write(http("200 OK", huge));
    });
    const plain = await faultOf(transport, get);
    expect(plain).toMatchObject({ code: "BODY_TOO_LARGE", sent: true });
    const unpacked = await faultOf(transport, { ...get, path: "/packed" });
    expect(unpacked).toMatchObject({ code: "BODY_DECODE", sent: true });
  });

  test("that leads elsewhere is an answer", async () => {
    const { host, transport, url } = await pair((_, socket) => {
      socket.write(http("301 Moved", "", `location: ${url}/elsewhere\r\n`));
    });
    expect((await transport.send(get)).status).toBe(301);
    expect(host.chunks).toHaveLength(1);
  });

  test("that is cut off is none", async () => {
    const { transport } = await pair((_, socket) => {
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{");
    });
    expect((await faultOf(transport, get)).sent).toBe(true);
  });
});

describe("a request", () => {
  test("leaves with head and body in one write", async () => {
    const { host, transport } = await pair(ok);
    await transport.send(post);
    expect(host.chunks).toHaveLength(1);
    expect(host.chunks[0]).toMatch(/^POST \/api2\/json\/x HTTP\/1\.1\r\n[\s\S]*\r\n\r\na=1&b=2$/);
    await transport.send({ ...post, body: "" });
    expect(host.chunks[1]).toContain("content-length: 0\r\n");
  });

  test("uses the connection of the one before, and a new one where the host has closed that", async () => {
    const { host, transport } = await pair(ok);
    await transport.send(get);
    await transport.send(post);
    expect(host.connections).toBe(1);
    await host.hangUp();
    expect((await transport.send(post)).status).toBe(200);
    expect(host.connections).toBe(2);
  });

  test("that is cut after it has left is sent once and said to have left", async () => {
    const { host, transport } = await pair((_, socket) => socket.destroy());
    expect((await faultOf(transport, post)).sent).toBe(true);
    expect(host.chunks).toHaveLength(1);
  });

  test("to where nobody listens has not left", async () => {
    const { host, transport } = await pair(ok);
    await host.close();
    open.length = 0;
    expect(await faultOf(transport, post)).toMatchObject({ code: "ECONNREFUSED", sent: false });
    await transport.close();
  });

  test("that is given up while it waits for its answer has left, and says why it ended", async () => {
    const giveUp = new AbortController();
    const reason = new Error("enough");
    const { transport } = await pair(() => giveUp.abort(reason));
    const fault = await faultOf(transport, { ...post, signal: giveUp.signal });
    expect(fault).toMatchObject({ sent: true, cause: reason });
  });

  test("that is given up before it left never does", async () => {
    const giveUp = new AbortController();
    const reason = new Error("enough");
    const { host, transport } = await pair(ok);
    const sending = transport.send({ ...post, signal: giveUp.signal });
    giveUp.abort(reason);
    await expect(sending).rejects.toBe(reason);
    await expect(transport.send({ ...post, signal: giveUp.signal })).rejects.toBe(reason);
    expect((await transport.send(get)).status).toBe(200);
    expect(host.chunks.map((chunk) => chunk.split(" ")[0])).toEqual(["GET"]);
  });
});
