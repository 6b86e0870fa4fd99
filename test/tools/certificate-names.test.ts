import { expect, test } from "vitest";
import { certificate } from "../certificate.ts";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

/** What is said when the node gets a certificate with these names. The lab dials the name `simulator`, where pve1 answers. */
async function said(node: string, subject: string, names: readonly string[]) {
  server = await lab();
  const { cert, key } = await certificate(subject, { names });
  const answer = await server.call("create_certificate", { node, certificate: cert, key });
  expect(answer.data, answer.text).toMatchObject({ changed: true });
  return answer.text;
}

const misnamed = "for none of the node's names";

test.each([
  ["its name", "pve2"],
  ["its full name", "pve2.lab.example"],
  ["its address", "192.0.2.12"],
  ["a wildcard", "*.lab.example"],
])("a certificate for %s is the node's", async (_, name) => {
  expect(await said("pve2", "somebody", [name])).not.toContain(misnamed);
});

test("the name that this server dials is the name of the node that answers there, and of no other", async () => {
  expect(await said("pve1", "simulator", ["simulator"])).not.toContain(misnamed);
  expect(await said("pve2", "simulator", ["simulator"])).toContain(`${misnamed}: pve2,`);
});

test("another node's name is not this one's", async () => {
  expect(await said("pve2", "pve1", ["pve1", "192.0.2.11"])).toContain(misnamed);
});

test("a name in the subject alone does not count", async () => {
  const text = await said("pve2", "pve2", []);
  expect(text).toContain(misnamed);
  expect(text).toContain("no subjectAltName");
  expect(await said("pve2", "pve2", ["other"])).toContain(misnamed);
});
