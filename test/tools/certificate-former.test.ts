import { X509Certificate } from "node:crypto";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { type Certificate, certificate } from "../certificate.ts";
import { type Lab, lab } from "../kit.ts";

let first: Certificate;
let second: Certificate;
let server: Lab;

beforeAll(async () => {
  first = await certificate("pve2.lab.example");
  second = await certificate("pve2");
});

beforeEach(async () => {
  server = await lab();
  await upload(first);
});

const fingerprintOf = ({ cert }: Certificate) => new X509Certificate(cert).fingerprint256;
const upload = ({ cert, key }: Certificate, more: Record<string, unknown> = {}) =>
  server.call("create_certificate", { node: "pve2", certificate: cert, key, ...more });
const list = () => server.call("list_certificates", { node: "pve2", max_age_s: 0 });

/** What every list says while pveproxy still has the first one in memory. */
async function stillShown(others: readonly unknown[]) {
  const { data, text } = await list();
  expect(data["certificates"]).toMatchObject([
    {
      use: "former",
      file: "(in memory)",
      served: true,
      subject: expect.stringContaining("pve2.lab.example"),
      fingerprint: fingerprintOf(first),
    },
    ...others,
  ]);
  expect(text).toMatch(/pve2 +\(in memory\) +former, shown +2028-01-01/);
  expect(text).toContain(`Fingerprints shown:\npve2: ${fingerprintOf(first)}`);
}

test("a certificate that was replaced without a restart is shown until there is one", async () => {
  await upload(second, { force: true, restart: false });
  const custom = { use: "custom", served: false, fingerprint: fingerprintOf(second) };
  await stillShown([custom, { use: "own", served: false }, { use: "authority" }]);
  await upload(first, { force: true, restart: false });
  const back = await list();
  expect(back.data["certificates"]).toMatchObject([
    { use: "custom", served: true, fingerprint: fingerprintOf(first) },
    { use: "own", served: false },
    {},
  ]);
  await upload(second, { force: true });
  const after = await list();
  expect(after.data["certificates"]).toMatchObject([
    { use: "custom", served: true, fingerprint: fingerprintOf(second) },
    { use: "own", served: false },
    {},
  ]);
});

test("a certificate that was taken away without a restart is shown until there is one", async () => {
  await server.call("delete_certificate", { node: "pve2", restart: false });
  await stillShown([{ use: "own", served: false }, { use: "authority" }]);
  await server.call("delete_certificate", { node: "pve2" });
  const { data } = await list();
  expect(data["certificates"]).toMatchObject([{ use: "own", served: true }, {}]);
});
