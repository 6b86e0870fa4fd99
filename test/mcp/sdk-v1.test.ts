import type { Progress } from "@modelcontextprotocol/sdk/types.js";
import { expect, test } from "vitest";
import { lab, textOf } from "./kit.ts";

test("the server says who it is and how it is meant to be used", async () => {
  const { client } = await lab();
  expect(client.getServerVersion()).toEqual({ name: "mcp-server-proxmox", version: "9.9.9" });
  expect(client.getInstructions()).toBe("Instructions of the tests.");
  expect(client.getServerCapabilities()).toEqual({ tools: {} });
});

test("the list is of the plain kind that every client takes", async () => {
  const { listed } = await lab();
  expect(JSON.stringify(listed)).not.toMatch(
    /anyOf|oneOf|allOf|\$ref|\$schema|"title"|"type":\[|9007199254740991|propertyNames|pattern|minLength/,
  );
  expect(listed[0]).toEqual({
    name: "get_guest",
    description: "Tells about one guest. Made for tests.",
    inputSchema: {
      type: "object",
      properties: {
        guest: { type: "string", description: "Name or vmid" },
        include: { type: "array", items: { type: "string", enum: ["pending", "agent"] } },
        limit: { type: "integer", minimum: 1, maximum: 100, default: 25 },
        max_age_s: { type: "number", minimum: 0 },
      },
      required: ["guest"],
      additionalProperties: false,
    },
    outputSchema: {
      type: "object",
      properties: {
        vmid: { type: "integer" },
        name: { type: "string" },
        config: { type: "object" },
        disks: { type: "array" },
        data: {},
      },
      required: ["vmid", "config", "disks"],
    },
    annotations: { readOnlyHint: true },
  });
});

test("hints follow from the effect, and only what is not assumed anyway is said", async () => {
  const { listed } = await lab();
  const [, change, destroy] = listed;
  expect(change?.annotations).toEqual({ destructiveHint: false });
  expect(destroy?.annotations).toBeUndefined();
  expect(destroy?._meta).toEqual({ "anthropic/requiresUserInteraction": true });
  expect(destroy?.inputSchema.properties?.["set"]).toEqual({
    type: "object",
    additionalProperties: { type: "string" },
  });
});

test("an unknown tool is a protocol error that names the closest", async () => {
  const { client } = await lab({
    absent: (name) => (name === "resize_disk" ? "It is in the toolset disks." : undefined),
  });
  const call = (name: string) => client.callTool({ name });
  await expect(call("get_gest")).rejects.toMatchObject({
    code: -32602,
    message: expect.stringMatching(/No tool named "get_gest" here\. Closest: get_guest\.$/),
  });
  await expect(call("resize_disk")).rejects.toMatchObject({
    code: -32602,
    message: expect.stringMatching(/It is in the toolset disks\.$/),
  });
});

test("a malformed request is a protocol error in our words", async () => {
  const { clientSide } = await lab();
  const reply = new Promise<unknown>((resolve) => {
    clientSide.onmessage = resolve;
  });
  await clientSide.send({
    jsonrpc: "2.0",
    id: 77,
    method: "tools/call",
    params: { name: "get_guest", arguments: [1] },
  });
  expect(await reply).toEqual({
    jsonrpc: "2.0",
    id: 77,
    error: {
      code: -32602,
      message: "A tools/call request needs a name (string) and may have arguments (an object).",
    },
  });
});

test("progress grows with every notification and is only sent to those who asked", async () => {
  const { client, clientSide } = await lab();
  const steps: Progress[] = [];
  const call = { name: "start_guest", arguments: { guest: "a" } };
  await client.callTool(call, undefined, { onprogress: (step) => steps.push(step) });
  expect(steps).toEqual([
    { progress: 10, total: 100, message: "at 0.1" },
    { progress: 50, total: 100, message: "at 0.5" },
    { progress: 50.01, total: 100, message: "at 0.5" },
    { progress: 50.02, total: 100, message: "at 0.3" },
  ]);
  const methods: unknown[] = [];
  const original = clientSide.onmessage;
  clientSide.onmessage = (message) => {
    methods.push("method" in message ? message.method : "reply");
    original?.(message);
  };
  await client.callTool(call);
  expect(methods).toEqual(["reply"]);
});

/** What the next call comes to in the server, whether or not the client hears of it. */
function outcomeIn(server: Awaited<ReturnType<typeof lab>>["server"]): Promise<string> {
  const seen = server.call;
  return new Promise((resolve) => {
    Object.assign(server, {
      call: async (...args: Parameters<typeof seen>) => {
        const result = await seen(...args);
        resolve(textOf(result));
        return result;
      },
    });
  });
}

test("cancelling at the client stops the work in the server", async () => {
  const { client, server } = await lab();
  const controller = new AbortController();
  const outcome = outcomeIn(server);
  const call = client.callTool({ name: "get_guest", arguments: { guest: "slow" } }, undefined, {
    signal: controller.signal,
  });
  setTimeout(() => controller.abort("enough"), 10);
  await expect(call).rejects.toThrow(/enough/);
  expect(await outcome).toMatch(/^cancelled: /);
});

test("closing the connection aborts what is in flight", async () => {
  const { server, sdkServer, client } = await lab();
  const outcome = outcomeIn(server);
  const call = client.callTool({ name: "get_guest", arguments: { guest: "slow" } });
  const failed = expect(call).rejects.toThrow(/closed/i);
  setTimeout(() => void sdkServer.close(), 10);
  expect(await outcome).toMatch(/^cancelled: /);
  await failed;
});
