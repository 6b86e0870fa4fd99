import * as z from "zod";
import type { Tool } from "../tool.ts";

/** A JSON schema of the plain kind that every client takes: one type a node, no references, no alternatives. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/**
 * The keywords a caller profits from. Lengths and the like are checked by us and would only cost tokens; patterns with
 * look-ahead are refused by clients whose regular expressions have none.
 */
const inputKeywords: ReadonlySet<string> = new Set([
  "type",
  "description",
  "enum",
  "default",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "minItems",
  "maxItems",
  "items",
  "properties",
  "required",
  "additionalProperties",
]);

const refused = ["anyOf", "oneOf", "allOf", "$ref", "not", "prefixItems"] as const;

/** The schema of a tool's arguments as listed. Throws, at start and so in every test, when it is not of the plain kind. */
export function inputSchema(tool: Tool): JsonSchema {
  const raw = z.toJSONSchema(tool.input.strict(), { io: "input" });
  return plainInput(raw, tool.name);
}

/**
 * The schema of a tool's result: the names of the top-level fields and their types, nothing below.
 * It stays open, so that a field can be added without a client refusing the answer.
 */
export function outputSchema(tool: Tool): JsonSchema {
  const { properties: fields } = z.toJSONSchema(tool.output, { io: "output" });
  const properties = Object.entries(record(fields)).map(([name, field]) => [
    name,
    plainOutput(record(field), `${tool.name} output ${name}`),
  ]);
  // A field that may be undefined is absent from the answer, so it cannot be promised.
  const required = Object.entries(tool.output.shape)
    .filter(([, field]) => !z.safeParse(field, undefined).success)
    .map(([name]) => name);
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    ...(required.length === 0 ? {} : { required }),
  };
}

function plainInput(raw: JsonSchema, at: string): JsonSchema {
  assertPlain(raw, at);
  const kept = Object.entries(raw)
    .filter(([keyword, value]) => inputKeywords.has(keyword) && tells(keyword, value))
    .map(([keyword, value]) => [keyword, plainKeyword(keyword, value, at)]);
  const { const: only } = raw;
  const schema = Object.fromEntries(only === undefined ? kept : [...kept, ["enum", [only]]]);
  if (
    Object.keys(record(schema.properties)).length > 0 &&
    schema.additionalProperties === undefined
  ) {
    throw new Error(`${at}: a nested object must be z.strictObject, or unknown fields pass unseen`);
  }
  return schema;
}

function plainKeyword(keyword: string, value: unknown, at: string): unknown {
  if (keyword === "properties") {
    const fields = Object.entries(record(value));
    return Object.fromEntries(
      fields.map(([name, field]) => [name, plainInput(record(field), `${at}.${name}`)]),
    );
  }
  if (keyword === "items") return plainInput(record(value), `${at}[]`);
  if (keyword === "additionalProperties" && typeof value === "object") {
    return plainInput(record(value), `${at}.*`);
  }
  return value;
}

/** Leaves out what says nothing: the bounds of a safe integer, empty lists, "any other field may be anything". */
function tells(keyword: string, value: unknown): boolean {
  if (typeof value === "number") return Math.abs(value) < Number.MAX_SAFE_INTEGER;
  if (keyword === "required" && Array.isArray(value)) return value.length > 0;
  if (keyword === "additionalProperties" || keyword === "items") {
    return value === false || Object.keys(record(value)).length > 0;
  }
  return true;
}

function plainOutput(raw: JsonSchema, at: string): JsonSchema {
  assertPlain(raw, at);
  const { type, enum: values } = raw;
  return {
    ...(type === undefined ? {} : { type }),
    ...(values === undefined ? {} : { enum: values }),
  };
}

function assertPlain(raw: JsonSchema, at: string): void {
  const { type } = raw;
  const found = refused.find((keyword) => keyword in raw);
  if (found !== undefined) throw new Error(`${at}: ${found} is refused by some clients`);
  if (Array.isArray(type)) throw new Error(`${at}: one type only, some clients refuse lists`);
}

function record(value: unknown): JsonSchema {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
