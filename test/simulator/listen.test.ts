import { Agent, request } from "node:https";
import { gunzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { adminToken, authorization } from "../../src/simulator/demo-credentials.ts";
import { type Listener, listen } from "../../src/simulator/listen.ts";
import { Simulator } from "../../src/simulator/simulator.ts";
import { selfSigned } from "../certificate.ts";

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

async function serve(options: { idleMs?: number } = {}) {
  const simulator = new Simulator({ clock: systemClock });
  const pems = await selfSigned();
  const listener: Listener = await listen(simulator, { ...pems, ...options });
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: pems.cert });
  open.push(listener, { close: () => agent.destroy() });

  function send(method: string, path: string, headers: Record<string, string> = {}, body?: string) {
    return new Promise<{ status: number; reason: string; headers: object; body: Buffer }>(
      (resolve, reject) => {
        const all = { authorization: authorization(adminToken), ...headers };
        const url = `${listener.url}/api2/json${path}`;
        const sent = request(url, { method, agent, headers: all }, (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              reason: response.statusMessage ?? "",
              headers: response.headers,
              body: Buffer.concat(chunks),
            }),
          );
        });
        sent.on("error", reject);
        sent.end(body);
      },
    );
  }
  return { simulator, listener, send };
}

test("the simulator answers over HTTPS with PVE's reason phrases", async () => {
  const { send, simulator } = await serve();
  const version = await send("GET", "/version");
  expect(JSON.parse(version.body.toString()).data.release).toBe("9.1");
  const missing = await send("GET", "/nodes/pve1/qemu/999/config");
  expect([missing.status, missing.reason]).toEqual([
    500,
    "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist",
  ]);
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const put = await send(
    "PUT",
    "/nodes/pve2/qemu/302/config",
    { ...form, "content-length": "7" },
    "cores=4",
  );
  expect(put.status).toBe(200);
  expect(simulator.world.guests.get(302)?.config["cores"]).toBe("4");
});

test("big answers are zipped for those who ask", async () => {
  const { send } = await serve();
  const { headers, body } = await send("GET", "/cluster/resources", { "accept-encoding": "gzip" });
  expect(headers).toMatchObject({ "content-encoding": "gzip" });
  expect(JSON.parse(gunzipSync(body).toString()).data.length).toBeGreaterThan(30);
});

test("a connection is kept after success and closed after a refusal", async () => {
  const { send, listener } = await serve();
  await send("GET", "/version");
  await send("GET", "/version");
  expect(listener.connections).toBe(1);
  expect((await send("GET", "/nonexistent")).headers).toMatchObject({ connection: "close" });
  await send("GET", "/version");
  expect(listener.connections).toBe(2);
});

test("after a hundred requests a connection is done", async () => {
  const { send, listener } = await serve();
  for (let n = 0; n < 101; n++) await send("GET", "/version");
  expect(listener.connections).toBe(2);
});

test("chunked bodies and other methods are refused", async () => {
  const { send } = await serve();
  const chunked = await send("POST", "/pools", { "transfer-encoding": "chunked" }, "poolid=x");
  expect([chunked.status, chunked.reason]).toEqual([
    501,
    "chunked transfer encoding not supported",
  ]);
  const patch = await send("PATCH", "/version");
  expect([patch.status, patch.reason]).toEqual([501, "method 'PATCH' not available"]);
});

test("a cut destroys the socket", async () => {
  const { send, simulator } = await serve();
  simulator.faults.cutBeforeWorld({ times: 1 });
  await expect(send("GET", "/version")).rejects.toThrow();
  expect((await send("GET", "/version")).status).toBe(200);
});
