import { expect, test } from "vitest";
import * as z from "zod";
import { canary, errorOf, getGuest, lab, textOf } from "./kit.ts";

test("a call answers with structured content, one text and how fresh it is", async () => {
  const { client } = await lab();
  const result = await client.callTool({
    name: "get_guest",
    arguments: { guest: 101, max_age_s: 2 },
  });
  expect(result).toEqual({
    content: [{ type: "text", text: "guest 101" }],
    structuredContent: { vmid: 101, config: { limit: 25, age: 2000 }, disks: [] },
    _meta: { apiCalls: 0 },
  });
});

test("an answer older than five seconds says so", async () => {
  const { client } = await lab();
  const result = await client.callTool({ name: "get_guest", arguments: { guest: "old" } });
  expect(textOf(result)).toMatch(/\n\(as of 7 s ago; row figures may be 10 s older\)$/);
  expect(result._meta).toEqual({
    observedAt: "2026-01-02T03:03:58.000Z",
    ageMs: 7000,
    source: "cache",
    apiCalls: 0,
  });
});

test("an unknown argument is refused by name, with the one it may have meant and all there are", async () => {
  const { client } = await lab();
  const result = await client.callTool({
    name: "get_guest",
    arguments: { guest: "a", limits: 3, zzzz: 1 },
  });
  expect(result.isError).toBe(true);
  expect(result.structuredContent).toBeUndefined();
  expect(textOf(result)).toBe(
    "invalid_input: get_guest: There is no argument limits; did you mean limit? There is no argument zzzz. " +
      "Repeat the call with these arguments only: guest, include, limit, max_age_s.",
  );
  expect(errorOf(result)).toEqual({
    kind: "invalid_input",
    retryable: false,
    facts: {
      tool: "get_guest",
      unknown: ["limits", "zzzz"],
      expected: ["guest", "include", "limit", "max_age_s"],
    },
  });
});

test.each([
  [{}, "guest is missing: it must be a string."],
  [{ guest: { name: "x" } }, "guest must be a string, not an object."],
  [{ guest: "" }, 'guest must be at least 1 character long, not "".'],
  [{ guest: "a", limit: "many" }, 'limit must be a number, not "many".'],
  [{ guest: "a", limit: 1.5 }, "limit must be a whole number, not 1.5."],
  [{ guest: "a", limit: 101 }, "limit must be at most 100, not 101."],
  [{ guest: "a", limit: null }, "limit must be a number, not null."],
  [{ guest: "a", include: "agent" }, 'include must be a list, not "agent".'],
  [{ guest: "a", include: ["agnt"] }, 'include[0] must be one of "pending", "agent", not "agnt".'],
  [
    { guest: "a", limit: 0, max_age_s: -1 },
    "limit must be at least 1, not 0. max_age_s must be at least 0, not -1.",
  ],
])("%j is refused in our words", async (args, words) => {
  const { client } = await lab();
  const result = await client.callTool({ name: "get_guest", arguments: args });
  expect(textOf(result)).toBe(
    `invalid_input: get_guest: ${words} Repeat the call with that put right.`,
  );
  expect(JSON.stringify(result)).not.toMatch(/MCP error|Invalid input|expected.*received/);
});

test("where only a pattern is known, the words that describe the argument say what is expected", async () => {
  const { client } = await lab();
  const result = await client.callTool({
    name: "delete_guest",
    arguments: { guest: 1, tag: "A_B" },
  });
  expect(textOf(result)).toContain('tag must be small letters and hyphens, not "A_B".');
});

test("a value under a telling name is not repeated", async () => {
  const secretive = {
    ...getGuest,
    input: getGuest.input.extend({ password: z.string().max(3).optional() }),
  };
  const { client } = await lab({ tools: [secretive] });
  const result = await client.callTool({
    name: "get_guest",
    arguments: { guest: 1, password: "hunter2" },
  });
  expect(textOf(result)).toContain(
    "password must be at most 3 characters long, not a string of 7 characters.",
  );
});

test("what a client adds under _meta is no argument", async () => {
  const { client } = await lab();
  const result = await client.callTool({
    name: "get_guest",
    arguments: { guest: "a", _meta: { x: 1 } },
  });
  expect(result.isError).toBeUndefined();
});

test("a name that every object has is as unknown as any other", async () => {
  const { server } = await lab();
  const args = JSON.parse('{"guest":"a","constructor":1}');
  const result = await server.call("get_guest", args, { signal: new AbortController().signal });
  expect(textOf(result)).toContain("There is no argument constructor.");
});

test("a problem is a result: kind, words and next step in the text, facts beside it, no structured content", async () => {
  const { client } = await lab();
  const result = await client.callTool({ name: "get_guest", arguments: { guest: "nobody" } });
  expect(textOf(result)).toBe("not_found: No guest named nobody. List them.");
  expect(result).not.toHaveProperty("structuredContent");
  expect(errorOf(result)).toEqual({
    kind: "not_found",
    retryable: false,
    facts: { candidates: ["web-1"], secret: "***" },
  });
});

test.each(["buggy", "liar"])(
  "a fault of ours (%s) hides its internals and is logged under a reference",
  async (guest) => {
    const { client, lines } = await lab();
    const result = await client.callTool({ name: "get_guest", arguments: { guest } });
    expect(textOf(result)).toMatch(
      /^bug: get_guest failed through a fault of this server \(reference ref-1\)\./,
    );
    expect(JSON.stringify(result)).not.toMatch(/undefined|TypeError|vmid|cafe/);
    const logged = lines.filter((line) => line.includes('"event":"bug"'));
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain("ref-1");
    expect(logged[0]).toMatch(
      guest === "buggy" ? /cannot read \*\*\* of undefined/ : /broke its output schema/,
    );
    expect(logged[0]).not.toContain(canary);
  },
);

test("a call given up is cancelled, not a bug", async () => {
  const { server, lines } = await lab();
  const controller = new AbortController();
  const pending = server.call("get_guest", { guest: "slow" }, { signal: controller.signal });
  controller.abort("the user went away");
  const result = await pending;
  expect(textOf(result)).toBe("cancelled: get_guest was given up at the caller's request.");
  expect(lines.join("")).not.toContain('"bug"');
});

test("waiting for a task keeps to wait_s and a failed task is a problem with its log", async () => {
  const { client } = await lab();
  const started = await client.callTool({
    name: "start_guest",
    arguments: { guest: "a", wait_s: 3 },
  });
  expect(started.structuredContent).toEqual({ state: "ok", waited: 3000 });
  const failed = await client.callTool({
    name: "start_guest",
    arguments: { guest: "a", ends: "failed" },
  });
  expect(textOf(failed)).toBe(
    "task_failed: Task qmstart on pve1 failed: no space.\nLast lines of its log:\n  line one\n  line two\n" +
      'Mend the cause before trying again; get_tasks with upid: "UPID:pve1:1" has the whole log.',
  );
  expect(errorOf(failed)).toMatchObject({
    kind: "task_failed",
    facts: { upid: "UPID:pve1:1", node: "pve1" },
  });
});

test("a task that Proxmox lost sight of is no success", async () => {
  const { client } = await lab();
  const result = await client.callTool({
    name: "start_guest",
    arguments: { guest: "a", ends: "unknown" },
  });
  expect(errorOf(result)).toMatchObject({
    kind: "outcome_unknown",
    facts: { upid: "UPID:pve1:1" },
  });
});

test("text from guests leaves without escapes, invisible characters or secrets", async () => {
  const { client } = await lab();
  const result = await client.callTool({ name: "get_guest", arguments: { guest: "hostile" } });
  expect(result.structuredContent).toMatchObject({ name: "abcde ***" });
  expect(textOf(result)).toBe("guest 100 abcde ***");
});
