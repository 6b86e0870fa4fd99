import { beforeEach, describe, expect, test } from "vitest";
import type { WireReply } from "../../src/http/transport.ts";
import { type Lab, lab, tools } from "../kit.ts";

type Reply = Partial<WireReply> & { readonly status: number };

const json = (status: number, reason: string, body: object): Reply => ({
  status,
  reason,
  body: JSON.stringify(body),
  headers: { "content-type": "application/json;charset=UTF-8" },
});

/** What a host or something before it may say, the kind that a read and a change become, and the words that must reach the caller. */
const matrix: readonly (readonly [string, Reply, read: string, change: string, words: RegExp])[] = [
  [
    "400 with a text for each parameter",
    json(400, "Parameter verification failed.", {
      data: null,
      message: "Parameter verification failed.\n",
      errors: { timeout: "type check ('integer') failed - got 'x'\n" },
    }),
    "invalid_input",
    "invalid_input",
    /timeout: type check \('integer'\) failed - got 'x'/,
  ],
  [
    "401 without a body",
    { status: 401, reason: "No ticket" },
    "unauthorized",
    "unauthorized",
    /No ticket/,
  ],
  [
    "403 that names a privilege",
    json(403, "Permission check failed (/vms/101, VM.Audit)", { data: null }),
    "forbidden",
    "forbidden",
    /VM\.Audit on \/vms\/101.*pveum acl modify \/vms\/101/s,
  ],
  ["404 with null", json(404, "Not Found", { data: null }), "unsupported", "unsupported", /404/],
  [
    "500 with a reason phrase only",
    { status: 500, reason: "the moon is in the wrong phase" },
    "upstream",
    "upstream",
    /the moon is in the wrong phase/,
  ],
  [
    "500 with a message",
    json(500, "VM is locked (backup)", { data: null, message: "VM is locked (backup)\n" }),
    "locked",
    "locked",
    /VM is locked \(backup\)/,
  ],
  [
    "595 without a body",
    { status: 595, reason: "No route to host" },
    "unreachable",
    "unreachable",
    /No route to host/,
  ],
  [
    "596 without a body",
    { status: 596, reason: "Connection timed out" },
    "timeout",
    "outcome_unknown",
    /Connection timed out/,
  ],
  ["503", { status: 503, reason: "Busy", body: "later" }, "unreachable", "outcome_unknown", /503/],
  [
    "200 that is no JSON",
    { status: 200, reason: "OK", body: "<html>Welcome</html>" },
    "upstream",
    "outcome_unknown",
    /JSON/,
  ],
  [
    "200 without a body",
    { status: 200, reason: "OK" },
    "upstream",
    "outcome_unknown",
    /empty body/,
  ],
];

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

describe.each(matrix)("%s", (_, reply, read, change, words) => {
  test(`is ${read} to a read, and no empty success`, async () => {
    server.simulator.faults.reply(reply, { path: /\/qemu\/101\/rrddata$/ });
    const answer = await server.call("get_metrics", { guest: "web-1" });
    expect(answer).toMatchObject({ isError: true, kind: read, data: {} });
    expect(answer.text).toMatch(words);
  });

  test(`is ${change} to a change, which is sent once`, async () => {
    server.simulator.faults.reply(reply, { method: "POST" });
    const answer = await server.call("stop_guest", { guest: "web-1" });
    expect(answer).toMatchObject({ isError: true, kind: change, data: {} });
    expect(answer.text).toMatch(words);
    expect(server.simulator.log.changes()).toHaveLength(1);
  });
});

test("no two of them are told in the same words", async () => {
  const texts = new Set<string>();
  for (const [, reply] of matrix) {
    const remove = server.simulator.faults.reply(reply, { path: /\/qemu\/101\/rrddata$/ });
    texts.add((await server.call("get_metrics", { guest: "web-1" })).text);
    remove();
  }
  expect(texts.size).toBe(matrix.length);
});
