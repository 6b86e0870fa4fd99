import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { nobodyToken } from "../../src/simulator/demo-credentials.ts";
import { certificate } from "../certificate.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

let server: Lab;

async function start(options: LabOptions = {}) {
  server = await lab(options);
  return server;
}

const ownOf = (node: string) => server.simulator.world.nodes.get(node)?.certificates.own.info;

test("shows what every node has, the cluster's authority once", async () => {
  await start();
  const { data, text } = await server.call("list_certificates");
  const all = data["certificates"] as Record<string, unknown>[];
  expect(all).toHaveLength(4);
  expect(data).toMatchObject({ total: 4, left: 0 });
  expect(all.filter(({ use }) => use === "authority")).toHaveLength(1);
  const own = all.find(({ node }) => node === "pve1");
  expect(own).toMatchObject({
    file: "pve-ssl.pem",
    use: "own",
    served: true,
    days_left: 529,
    names: ["192.0.2.11", "pve1", "pve1.lab.example"],
    issuer: "cluster authority",
    fingerprint: ownOf("pve1")?.fingerprint,
  });
  expect(data).not.toHaveProperty("degraded");
  expect(text).toContain("none of these expires within 30 days");
  expect(text).toContain(String(own?.["fingerprint"]));
});

test("costs a request a node, once in 30 s", async () => {
  await start();
  await server.call("list_guests");
  expect(await server.cost("list_certificates")).toBe(3);
  expect(await server.cost("list_certificates")).toBe(0);
  await server.clock.advance(31_000);
  await server.call("list_guests");
  expect(await server.cost("list_certificates", { node: "pve1" })).toBe(1);
});

test("puts what expires soon first and says so; a custom one is the one that is shown", async () => {
  await start();
  const until = new Date(server.clock.now() + 9.5 * 86_400_000);
  const soon = await certificate("pve3.lab.example", { until });
  await server.call("create_certificate", {
    node: "pve3",
    certificate: soon.cert,
    key: soon.key,
  });
  const { data, text } = await server.call("list_certificates");
  const all = data["certificates"] as Record<string, unknown>[];
  expect(all[0]).toMatchObject({ node: "pve3", use: "custom", served: true, expires: "soon" });
  expect(all[0]).toMatchObject({
    days_left: 9,
    fingerprint: new X509Certificate(soon.cert).fingerprint256,
  });
  expect(all.find(({ node, use }) => node === "pve3" && use === "own")).toMatchObject({
    served: false,
  });
  expect(text).toContain("1 of these expired or within 30 days");
  expect(text).toContain("9 d, SOON");
});

test("names nodes that are off, that refuse and that break, and shows the rest", async () => {
  await start();
  const pve3 = server.simulator.world.nodes.get("pve3");
  if (pve3) pve3.online = false;
  const refused = { status: 403, reason: "Permission check failed (/nodes/pve2, Sys.Audit)" };
  server.simulator.faults.reply(refused, { path: /pve2\/certificates/ });
  const { data, isError, text } = await server.call("list_certificates");
  expect(isError).toBe(false);
  const nodes = (data["certificates"] as { node: string }[]).map(({ node }) => node);
  expect(nodes.sort()).toEqual(["(all)", "pve1"]);
  expect(data["degraded"]).toEqual([
    { node: "pve2", reason: expect.stringMatching(/^forbidden: .*Sys\.Audit/) },
    { node: "pve3", reason: "offline" },
  ]);
  expect(text).toContain("Node pve3: offline; its certificates are not known.");
});

test("needs no rights, pages, and knows which nodes there are", async () => {
  await start({ token: nobodyToken });
  const first = await server.call("list_certificates", { limit: 3 });
  expect(first.data).toMatchObject({ total: 4, left: 1 });
  const cursor = first.data["cursor"];
  const second = await server.call("list_certificates", { limit: 3, cursor });
  expect(second.data["certificates"]).toHaveLength(1);
  const missing = await server.call("list_certificates", { node: "pve22" });
  expect(missing).toMatchObject({ kind: "not_found" });
  expect(missing.text).toContain("pve2");
});
