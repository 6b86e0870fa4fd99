import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { undiciTransport } from "../../src/http/undici-transport.ts";
import { listen } from "../../src/simulator/listen.ts";
import { certificate } from "../certificate.ts";
import { httpsLab } from "./https.ts";

const fingerprintOf = (cert: string) => new X509Certificate(cert).fingerprint256;

test("a pinned node goes on being reached when ACME has given it a certificate nobody knew before", async () => {
  const own = await certificate("pve1");
  const next = await certificate("pve1.example.org");
  const pin = fingerprintOf(own.cert);
  const server = await httpsLab({
    listening: async (simulator) => {
      const listener = await listen(simulator, { ...own, node: "pve1" });
      const tls = { fingerprints: [pin] };
      return { listener, transport: undiciTransport({ url: listener.url, tls }) };
    },
  });
  const { world } = server.simulator;
  const pve1 = world.nodes.get("pve1");
  if (!pve1) throw new Error("no node pve1");
  pve1.config = { acmedomain0: "pve1.example.org" };
  world.acme = {
    accounts: new Set(["default"]),
    plugins: new Map(),
    issues: new Map([["pve1", next]]),
    invalid: new Set(),
    revoked: [],
  };
  const order = { node: "pve1", acme: true, wait_s: 300 };
  const plan = await server.call("create_certificate", { ...order, dry_run: true });
  expect(plan.text).toContain("nobody knows the new one before");
  const mark = server.simulator.log.mark();
  const first = await server.call("create_certificate", order);
  expect(first.kind, first.text).toBe("confirmation_required");
  expect(first.text).toContain("nobody knows the new one before");
  expect(server.simulator.log.changes(mark)).toEqual([]);
  const { data, text } = await server.call("create_certificate", { ...order, force: true });
  const found = fingerprintOf(next.cert);
  expect(data, text).toMatchObject({
    changed: true,
    certificate: { fingerprint: found, served: true },
    pin: `PROXMOX_FINGERPRINT=${found}`,
  });
  // Its old workers are gone by now, and every connection is a new one.
  await server.clock.advance(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  const after = await server.call("get_node", { node: "pve1", max_age_s: 0 });
  expect(after.isError, after.text).toBe(false);
  const revoked = await server.call("delete_certificate", {
    node: "pve1",
    revoke: true,
    force: true,
    wait_s: 300,
  });
  expect(revoked.data, revoked.text).toMatchObject({
    changed: true,
    pin: `PROXMOX_FINGERPRINT=${pin}`,
  });
  await server.clock.advance(60_000);
  expect((await server.call("get_node", { node: "pve1", max_age_s: 0 })).isError).toBe(false);
});
