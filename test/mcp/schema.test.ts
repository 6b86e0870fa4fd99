import { expect, test } from "vitest";
import * as z from "zod";
import { inputSchema, outputSchema } from "../../src/mcp/schema.ts";
import type { Tool } from "../../src/tool.ts";
import { getGuest, lab } from "./kit.ts";

const taking = (input: z.ZodObject): Tool => ({ ...getGuest, input });
const giving = (output: z.ZodObject): Tool => ({ ...getGuest, output });

test("arguments: defaults are optional, numbers become strings in silence, noise is left out", () => {
  const preprocessed = z.preprocess((value) => String(value), z.string().min(1).max(9));
  const input = z.object({
    a: preprocessed,
    b: preprocessed.optional(),
    c: z.int().default(3),
    d: z.number().gt(0).lt(5).optional(),
    e: z.strictObject({ f: z.boolean(), g: z.literal("x") }).optional(),
    h: z.record(z.string(), preprocessed).optional(),
    i: z
      .array(z.strictObject({ j: z.int().min(1) }))
      .min(1)
      .optional(),
  });
  expect(inputSchema(taking(input))).toEqual({
    type: "object",
    properties: {
      a: { type: "string" },
      b: { type: "string" },
      c: { type: "integer", default: 3 },
      d: { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 5 },
      e: {
        type: "object",
        properties: { f: { type: "boolean" }, g: { type: "string", enum: ["x"] } },
        required: ["f", "g"],
        additionalProperties: false,
      },
      h: { type: "object", additionalProperties: { type: "string" } },
      i: {
        type: "array",
        minItems: 1,
        items: {
          type: "object",
          properties: { j: { type: "integer", minimum: 1 } },
          required: ["j"],
          additionalProperties: false,
        },
      },
    },
    required: ["a"],
    additionalProperties: false,
  });
});

test("results: bare nested parts, open, and nothing promised that may be absent", () => {
  const output = z.object({
    a: z.int().describe("words"),
    b: z.array(z.object({ c: z.string() })),
    d: z.object({ e: z.string() }).optional(),
    f: z.string().default("x"),
    g: z.enum(["y", "z"]),
  });
  expect(outputSchema(giving(output))).toEqual({
    type: "object",
    properties: {
      a: { type: "integer" },
      b: { type: "array" },
      d: { type: "object" },
      f: { type: "string" },
      g: { type: "string", enum: ["y", "z"] },
    },
    required: ["a", "b", "g"],
  });
});

test.each([
  [
    "a union",
    taking(z.object({ a: z.union([z.string(), z.array(z.string())]) })),
    /get_guest\.a: anyOf/,
  ],
  [
    "a nullable",
    taking(z.object({ a: z.object({ b: z.string().nullable() }).strict() })),
    /get_guest\.a\.b: one type only/,
  ],
  ["an intersection", taking(z.object({ a: z.string().and(z.string()) })), /allOf/],
  ["a tuple", taking(z.object({ a: z.tuple([z.string()]) })), /prefixItems/],
  [
    "a nested object that takes strangers",
    taking(z.object({ a: z.array(z.object({ b: z.string() })) })),
    /get_guest\.a\[\]: a nested object must be z\.strictObject/,
  ],
  [
    "a nullable result",
    giving(z.object({ a: z.string().nullable() })),
    /get_guest output a: one type only/,
  ],
])("%s stops the start", async (_, tool, words) => {
  await expect(lab({ tools: [tool] })).rejects.toThrow(words);
});

test("two tools of one name stop the start", async () => {
  await expect(lab({ tools: [getGuest, getGuest] })).rejects.toThrow(/same name/);
});
