import { expect, test } from "vitest";
import { apiToken } from "../../src/http/auth.ts";
import { problemOf } from "./fake.ts";

const id = "agent@pve!mcp";
const secret = "c4n4ry00-0000";
const patient = new AbortController().signal;

test("a token is one header, and shows its secret nowhere else", async () => {
  const auth = apiToken({ id, secret });
  expect(await auth.headers("POST", patient)).toEqual({
    authorization: `PVEAPIToken=${id}=${secret}`,
  });
  expect(auth.describe()).toBe(`API token ${id}`);
  expect(JSON.stringify(auth)).not.toContain(secret);
  expect(auth.scrub(`a ${secret} b`)).toBe("a [secret] b");
});

test.each([
  ["agent@pve", secret],
  ["agent!mcp", secret],
  ["agent@pve!", secret],
  [id, ""],
  [id, "two words"],
  [id, `${secret}\r\nx: y`],
])("the token %j with the secret %j is refused before it is used", async (badId, badSecret) => {
  const problem = await problemOf(
    Promise.resolve().then(() => apiToken({ id: badId, secret: badSecret })),
  );
  expect(problem.kind).toBe("invalid_input");
  expect(problem.message + problem.next).not.toContain(secret);
});
