import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { filesBelow } from "../src/files.ts";
import { VirtualClock } from "../src/simulator/clock.ts";
import type { Tool } from "../src/tool.ts";
import { toolsets } from "../tools/index.ts";
import { instructions } from "../tools/instructions.ts";
import { type LabOptions, lab, openLab, tools } from "./kit.ts";
import { bigWorld, plainCall } from "./registry/big-world.ts";

const here = fileURLToPath(new URL("./registry", import.meta.url));
const clients = await listed();
const readers = await listed({ files: filesBelow(here) });
const named = tools.map((tool) => ({ name: tool.name, tool, seen: asSeen(tool.name) }));

describe.each(named)("$name", ({ name, tool, seen }) => {
  it("is called verb_noun", () => {
    expect(name).toMatch(verbNoun);
  });

  it("says in its first sentence what it is for, and is done within 600 characters", () => {
    const { description } = tool;
    expect(description.length).toBeLessThanOrEqual(600);
    expect(description).toMatch(/^[A-Z].*\.$/);
    expect(description).not.toMatch(/\s{2}|\n/);
    expect(firstSentence(description).split(" ").length).toBeGreaterThanOrEqual(5);
    expect(firstSentence(description).length).toBeLessThanOrEqual(200);
  });

  it("has zod objects for input and output and a known effect", () => {
    expect(tool.input).toBeInstanceOf(z.ZodObject);
    expect(tool.output).toBeInstanceOf(z.ZodObject);
    expect(["read", "change", "interrupt", "destroy"]).toContain(tool.effect);
  });

  it("takes what its effect demands", () => {
    expect(missingParameters(tool)).toEqual([]);
    // And the other way round: what wants to be confirmed destroys.
    if ("confirm" in tool.input.shape) expect(tool.effect).toBe("destroy");
    if ("dry_run" in tool.input.shape) expect(tool.effect).not.toBe("read");
  });

  it("lists only schemas that every client takes", () => {
    expect(faults(seen.inputSchema)).toEqual([]);
    expect(faults(seen.outputSchema)).toEqual([]);
    expect(seen.inputSchema).toMatchObject({ type: "object", additionalProperties: false });
    expect(seen.outputSchema).toMatchObject({ type: "object" });
    expect(seen).not.toHaveProperty("title");
    expect(seen.annotations ?? {}).not.toHaveProperty("title");
  });

  it("is annotated by its effect", () => {
    const { readOnlyHint = false, destructiveHint = true } = seen.annotations ?? {};
    const { effect } = tool;
    expect(readOnlyHint).toBe(effect === "read");
    if (effect !== "read") expect(destructiveHint).toBe(effect !== "change");
    expect(seen._meta?.["anthropic/requiresUserInteraction"] ?? false).toBe(effect === "destroy");
  });

  it("is defined as its file says (UPDATE=1 or vitest -u rewrites the file)", () => {
    const file = `${definitions}${name}.json`;
    const text = `${readable(seen)}\n`;
    if (updating()) writeFileSync(file, text);
    expect(existsSync(file), `${file} is missing`).toBe(true);
    expect(readFileSync(file, "utf8")).toBe(text);
  });
});

describe("all tools", () => {
  it("are some, each with a name of its own", () => {
    expect(tools.length).toBeGreaterThan(0);
    expect(new Set(tools.map(({ name }) => name)).size).toBe(tools.length);
  });

  it("are described in 200 characters on average", () => {
    const sum = tools.reduce((total, { description }) => total + description.length, 0);
    expect(sum / tools.length).toBeLessThanOrEqual(200);
  });

  it("leave no definition of a tool that is gone", () => {
    const names = tools.map(({ name }) => `${name}.json`);
    const gone = readdirSync(definitions).filter((file) => !names.includes(file));
    if (updating()) for (const file of gone) rmSync(`${definitions}${file}`);
    expect(readdirSync(definitions).sort()).toEqual(names.sort());
  });

  it("cost a client of the core toolset at most 7,000 tokens", async () => {
    const tokens = countTokens(JSON.stringify(await listed({ tools: toolsets["core"] ?? [] })));
    print(`tools/list of core: ${tokens} tokens`);
    expect(tokens).toBeLessThanOrEqual(7_000);
  });

  it("cost a client of all toolsets at most 11,000 tokens", async () => {
    const tokens = countTokens(JSON.stringify(await listed({ tools, files: filesBelow(here) })));
    print(`tools/list of all: ${tokens} tokens`);
    expect(tokens).toBeLessThanOrEqual(11_000);
  });

  it("take at most 5,500 tokens of core for what a model reads: name, words, arguments", async () => {
    const core = await listed({ tools: toolsets["core"] ?? [] });
    const read = core.tools.map(({ name, description, inputSchema }) => ({
      name,
      description,
      inputSchema,
    }));
    const tokens = countTokens(JSON.stringify(read));
    print(`names, descriptions and arguments of core: ${tokens} tokens`);
    expect(tokens).toBeLessThanOrEqual(5_500);
  });

  it("cost a read-only client at most 2,800 tokens", async () => {
    const list = await listed({ tools: toolsets["core"] ?? [], readOnly: true });
    const tokens = countTokens(JSON.stringify(list));
    print(`tools/list of core, read-only: ${tokens} tokens`);
    expect(tokens).toBeLessThanOrEqual(2_800);
    expect(list.tools.map(({ name }) => name)).toEqual(
      (toolsets["core"] ?? []).filter(({ effect }) => effect === "read").map(({ name }) => name),
    );
  });

  it("come with instructions of at most 2,000 characters", () => {
    expect(instructions.length).toBeLessThanOrEqual(2_000);
  });
});

describe("on a cluster of 300 guests", () => {
  it("answers every tool within 2,000 tokens, as text and as data", {
    timeout: 60_000,
  }, async () => {
    const clock = new VirtualClock();
    const server = await lab({ world: bigWorld(clock.now()), tools, files: filesBelow(here) });
    // Fills the list of tasks.
    await server.call("stop_guest", { guests: range(200, 250), mode: "stop" });
    const { data } = await server.call("start_guest", { guest: "200" });
    const upid = String(data["upid"]);
    await server.call("start_guest", { guests: range(201, 250) });
    await server.clock.advance(20_000);
    const figures: string[] = [];
    const tooLong: string[] = [];
    for (const { name, tool } of named) {
      const answer = await server.call(name, plainCall(tool, upid));
      expect(answer.isError, `${name}: ${answer.text}`).toBe(false);
      const text = countTokens(answer.text);
      const data = countTokens(JSON.stringify(answer.data));
      figures.push(`${name} ${text} + ${data}`);
      if (Math.max(text, data) > 2_000) tooLong.push(`${name} ${text} + ${data}`);
    }
    print(`tokens of answers (text + data) on 300 guests: ${figures.join(", ")}`);
    expect(tooLong).toEqual([]);
  });
});

describe("these checks", () => {
  it.each([
    ["anyOf", { properties: { a: { anyOf: [] } } }],
    ["oneOf", { oneOf: [] }],
    ["$ref", { items: { $ref: "#/x" } }],
    ["$schema", { $schema: "x" }],
    ["a list of types", { properties: { a: { type: ["string", "number"] } } }],
    ["title", { properties: { a: { title: "A", type: "string" } } }],
    ["null", { properties: { a: { type: "null" } } }],
    ["null", { properties: { a: { default: null } } }],
  ])("see %s in a schema", (fault, schema) => {
    expect(faults(schema)).toEqual([fault]);
  });

  it("see a parameter called title or $ref as what it is", () => {
    expect(faults({ properties: { title: { type: "string" } } })).toEqual([]);
  });

  it("see what a tool of each effect lacks", () => {
    const bare = { name: "x", input: z.object({ guest: z.string() }) };
    expect(missingParameters({ ...bare, effect: "read" })).toEqual(["max_age_s"]);
    expect(missingParameters({ ...bare, effect: "change" })).toEqual(["wait_s", "dry_run"]);
    expect(missingParameters({ ...bare, effect: "destroy" })).toEqual([
      "wait_s",
      "dry_run",
      "confirm",
    ]);
  });
});

const verbNoun =
  /^(list|get|search|call|create|update|delete|clone|start|stop|restart|download|upload|resize|move|attach|detach|convert|restore|rollback|migrate|run|read|write)(_[a-z]+)+$/;
const definitions = new URL("./definitions/", import.meta.url).pathname;

function updating(): boolean {
  return (
    process.env["UPDATE"] === "1" || expect.getState().snapshotState.snapshotUpdateState === "all"
  );
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

function firstSentence(text: string): string {
  return /^.*?\.(?= |$)/.exec(text)?.[0] ?? text;
}

/** Tasks are looked at as they are now: their age is not a question. */
const timeless = new Set(["get_tasks"]);

function missingParameters(tool: Pick<Tool, "name" | "effect" | "input">): string[] {
  const reads = timeless.has(tool.name) ? [] : ["max_age_s"];
  const changes = ["wait_s", "dry_run", ...(tool.effect === "destroy" ? ["confirm"] : [])];
  const wanted = tool.effect === "read" ? reads : changes;
  return wanted.filter((name) => !(name in tool.input.shape));
}

/** What some clients refuse, anywhere in a schema; the names of parameters are no keywords. */
function faults(schema: unknown): string[] {
  if (schema === null) return ["null"];
  if (Array.isArray(schema)) return schema.flatMap(faults);
  if (typeof schema !== "object") return [];
  const { properties = {}, ...keywords } = schema as Record<string, unknown>;
  const { type } = keywords;
  const refused = ["anyOf", "oneOf", "allOf", "$ref", "$schema", "title"];
  return [
    ...refused.filter((keyword) => keyword in keywords),
    ...(Array.isArray(type) ? ["a list of types"] : []),
    ...(type === "null" ? ["null"] : []),
    ...Object.values(properties as object).flatMap(faults),
    ...Object.values(keywords).flatMap(faults),
  ];
}

/** The whole result of tools/list, as a client gets it. */
async function listed(options: LabOptions = {}) {
  const server = await openLab({ tools, settleMs: 0, ...options });
  const list = await server.client.listTools();
  await server.close();
  return list;
}

function asSeen(name: string) {
  const seen = [...clients.tools, ...readers.tools].find((tool) => tool.name === name);
  if (!seen) throw new Error(`${name} is not listed`);
  return seen;
}

/** As the formatter of this project writes JSON, so that it has nothing to mend; `column` is where the value begins. */
function readable(value: unknown, indent = "", column = 0): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  const block = (open: string, items: readonly string[], close: string) =>
    `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`;
  if (Array.isArray(value)) {
    const items = value.map((item) => readable(item, inner, inner.length));
    const line = `[${items.join(", ")}]`;
    return column + line.length < 100 && !/[{\n]/.test(line) ? line : block("[", items, "]");
  }
  const fields = Object.entries(value).map(([name, field]) => {
    const key = `${JSON.stringify(name)}: `;
    return key + readable(field, inner, inner.length + key.length);
  });
  return fields.length === 0 ? "{}" : block("{", fields, "}");
}

/** Figures are for whoever runs the tests; they are no part of what is tested. */
function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
