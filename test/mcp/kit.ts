import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import * as z from "zod";
import type { Clock } from "../../src/clock.ts";
import { each } from "../../src/each.ts";
import { confirmByArgument } from "../../src/guard/confirm.ts";
import { createLog, type Log } from "../../src/log.ts";
import { createSdkServer } from "../../src/mcp/sdk-v1.ts";
import { createServer, type ServerOptions, type ToolServer } from "../../src/mcp/server.ts";
import { Problem } from "../../src/problem.ts";
import { Call } from "../../src/proxmox/api/call.ts";
import type { ProxmoxClient } from "../../src/proxmox/client.ts";
import type { Task } from "../../src/proxmox/tasks/task.ts";
import { defineTool, type Tool } from "../../src/tool.ts";

/** Planted wherever something secret could slip through. */
export const canary = "5ca1ab1e-0000-4000-8000-00000000cafe";

export const now = Date.UTC(2026, 0, 2, 3, 4, 5);

const still: Clock = { now: () => now, sleep: () => Promise.resolve() };

const guest = z.preprocess(
  (value) => (typeof value === "number" ? String(value) : value),
  z.string().min(1),
);

/** Reads one guest; its name decides what goes wrong. */
export const getGuest = defineTool({
  name: "get_guest",
  description: "Tells about one guest. Made for tests.",
  effect: "read",
  input: z.object({
    guest: guest.describe("Name or vmid"),
    include: z.array(z.enum(["pending", "agent"])).optional(),
    limit: z.int().min(1).max(100).default(25),
    max_age_s: z.number().min(0).optional(),
  }),
  output: z.object({
    vmid: z.int(),
    name: z.string().optional(),
    config: z.record(z.string(), z.unknown()),
    disks: z.array(z.looseObject({})),
    data: z.unknown(),
  }),
  async run(input, { call }) {
    if (input.guest === "nobody")
      throw new Problem("not_found", "No guest named nobody.", {
        next: "List them.",
        facts: { candidates: ["web-1"], secret: canary },
      });
    if (input.guest === "buggy") throw new TypeError(`cannot read ${canary} of undefined`);
    if (input.guest === "liar")
      return Object.assign({ vmid: 1, config: {}, disks: [], data: 1 }, { vmid: "many" });
    if (input.guest === "old")
      call.note({
        beganAt: now - 7_000,
        trueAt: now - 7_000,
        until: now,
        source: "cache",
        tags: [],
        epochs: [],
      });
    if (input.guest === "slow")
      await new Promise((_, reject) =>
        call.signal.addEventListener("abort", () => reject(call.signal.reason)),
      );
    const name =
      input.guest === "hostile" ? `a\u001b[31mb\u200bc\u202ed\u{e0041}e ${canary}` : undefined;
    return {
      vmid: Number.isNaN(Number(input.guest)) ? 100 : Number(input.guest),
      name,
      config: { limit: input.limit, age: call.maxAgeMs, none: null },
      disks: [],
      data: null,
    };
  },
  show: ({ vmid, name }) => `guest ${vmid} ${name ?? ""}`,
});

/** Starts a task of three steps. */
export const startGuest = defineTool({
  name: "start_guest",
  description: "Starts a guest. Made for tests.",
  effect: "change",
  input: z.object({
    guest,
    wait_s: z.number().min(0).max(3600).default(45),
    ends: z.enum(["ok", "failed", "unknown"]).default("ok"),
  }),
  output: z.object({ state: z.string(), waited: z.number() }),
  async run({ ends }, { settle }) {
    let waited = -1;
    const task: Task = {
      upid: "UPID:pve1:1",
      settle: async ({ timeoutMs, onProgress }) => {
        waited = timeoutMs;
        for (const done of [0.1, 0.5, 0.5, 0.3]) onProgress?.({ done, message: `at ${done}` });
        const what = { upid: "UPID:pve1:1", node: "pve1", type: "qmstart" };
        const log = ends === "failed" ? ["line one", "line two"] : [];
        return { ...what, state: ends, exitstatus: ends === "ok" ? "OK" : "no space", log };
      },
    };
    const { state } = await settle(task);
    return { state, waited };
  },
  show: ({ state }) => `start: ${state}`,
});

export const deleteGuest = defineTool({
  name: "delete_guest",
  description: "Deletes a guest. Made for tests.",
  effect: "destroy",
  input: z.object({
    guest,
    confirm: z.string().optional(),
    set: z.record(z.string(), z.string()).optional(),
    vmid: z.int().optional(),
    tag: z
      .string()
      .regex(/^(?=[a-z])[a-z-]+$/)
      .optional()
      .describe("small letters and hyphens"),
  }),
  output: z.object({ vmid: z.int() }),
  run: () => Promise.resolve({ vmid: 1 }),
  show: () => "deleted",
});

export const tools: readonly Tool[] = [getGuest, startGuest, deleteGuest];

/** The tools above, without a cluster. */
export function toolServer(log: Log, overrides: Partial<ServerOptions> = {}): ToolServer {
  // No tool here touches Proxmox; the cast stands in for a client that nothing asks.
  const proxmox = {} as ProxmoxClient;
  return createServer({
    tools,
    makeContext: (options) => ({
      proxmox,
      call: new Call(options),
      confirm: confirmByArgument,
      each: (items, run) => each(items, 4, run),
    }),
    clock: still,
    log,
    instructions: "Instructions of the tests.",
    secrets: [canary],
    newReference: () => "ref-1",
    ...overrides,
  });
}

/** The tools served to the SDK's own client over a pair of transports in memory. */
export async function lab(overrides: Partial<ServerOptions> = {}) {
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(line), secrets: [canary], level: "debug" });
  const server = toolServer(log, overrides);
  const client = new Client({ name: "test", version: "1" });
  const sdkServer = createSdkServer(server, { name: "mcp-server-proxmox", version: "9.9.9" }, log);
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair();
  await Promise.all([client.connect(clientSide), sdkServer.connect(serverSide)]);
  // The client validates structuredContent only for tools that it has seen listed.
  const listed = await client.listTools();
  return { client, server, lines, listed: listed.tools, clientSide, sdkServer };
}

/** The text of an answer. */
export function textOf(result: object): string {
  const { content } = z.object({ content: z.array(z.object({ text: z.string() })) }).parse(result);
  return content.map(({ text }) => text).join("\n");
}

/** `_meta.error` of an answer. */
export function errorOf(result: object) {
  const shape = z.looseObject({
    kind: z.string(),
    retryable: z.boolean(),
    facts: z.record(z.string(), z.unknown()),
  });
  return z.object({ _meta: z.looseObject({ error: shape }) }).parse(result)._meta.error;
}
