import type * as z from "zod";
import { Problem } from "../problem.ts";
import { closest, count, echoed } from "../text.ts";
import type { Tool } from "../tool.ts";

type Arguments = Readonly<Record<string, unknown>>;

/** Checks and completes the arguments of one tool; throws invalid_input. */
export type ArgumentParser = (raw: Arguments) => Arguments;

/** One argument that cannot be taken, in our words. */
interface Complaint {
  readonly argument: string;
  readonly given?: string;
  readonly expected: string;
}

/**
 * Checks a tool's arguments by its schema and completes them. Its invalid_input tells everything wrong at once:
 * each argument by name, what was given and what is expected.
 */
export function argumentParser(tool: Tool): ArgumentParser {
  const schema = tool.input.strict(); // made once: zod compiles a schema when it is first used
  return (raw) => {
    // Some clients put their own `_meta` among the arguments; it is not the caller's mistake.
    const ours = (name: string) => !name.startsWith("_") || Object.hasOwn(tool.input.shape, name);
    const given = Object.keys(raw).every(ours)
      ? raw
      : Object.fromEntries(Object.entries(raw).filter(([name]) => ours(name)));
    const parsed = schema.safeParse(given);
    if (parsed.success) return parsed.data;
    throw refusal(tool, given, parsed.error.issues);
  };
}

/** One mistake can repeat in every item of a list; the next step must still fit into the answer. */
const maxComplaints = 10;

function refusal(tool: Tool, given: Arguments, issues: readonly z.core.$ZodIssue[]): Problem {
  const known = Object.keys(tool.input.shape);
  const unknown = issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" ? issue.keys.map((key) => nameOf([...issue.path, key])) : [],
  );
  const complaints = issues
    .filter((issue) => issue.code !== "unrecognized_keys")
    .slice(0, maxComplaints)
    .map((issue) => complaint(issue, given, tool));
  const strangers = unknown.slice(0, maxComplaints).map((name) => stranger(name, known));
  const sentences = [...strangers, ...complaints.map(sentence)];
  return new Problem("invalid_input", `${tool.name}: ${sentences.join(" ")}`, {
    next: nextStep(tool.name, known, unknown.length > 0),
    facts: {
      tool: tool.name,
      ...(unknown.length > 0
        ? {
            unknown: unknown.slice(0, maxComplaints).map((name) => echoed(name, 60)),
            expected: known,
          }
        : {}),
      ...(complaints.length > 0 ? { arguments: complaints } : {}),
    },
  });
}

function nextStep(tool: string, known: readonly string[], listAll: boolean): string {
  if (known.length === 0) return `Repeat the call without arguments: ${tool} takes none.`;
  return listAll
    ? `Repeat the call with these arguments only: ${known.join(", ")}.`
    : "Repeat the call with that put right.";
}

function stranger(name: string, known: readonly string[]): string {
  const [near] = closest(name, known, 1);
  const asked = `There is no argument ${echoed(name, 60)}`;
  return near === undefined ? `${asked}.` : `${asked}; did you mean ${near}?`;
}

function sentence({ argument, given, expected }: Complaint): string {
  return given === undefined
    ? `${argument} is missing: it must be ${expected}.`
    : `${argument} must be ${expected}, not ${given}.`;
}

function complaint(issue: z.core.$ZodIssue, given: Arguments, tool: Tool): Complaint {
  const argument = nameOf(issue.path);
  const value = issue.path.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? Reflect.get(at, key) : undefined),
    given,
  );
  const words = tool.input.shape[String(issue.path[0])]?.description;
  const expected = expectation(issue, words);
  return value === undefined
    ? { argument, expected }
    : { argument, given: shown(argument, value), expected };
}

/** `disks[0].size`; the root, where a rule spans several arguments, is called by that. */
function nameOf(path: readonly PropertyKey[]): string {
  const [first, ...rest] = path;
  if (first === undefined) return "the arguments together";
  const tail = rest
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("");
  return `${String(first)}${tail}`;
}

const typeWords: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object of names and values",
};

/** `words` describe the argument: they are the best there is where zod only knows that a pattern does not match. */
function expectation(issue: z.core.$ZodIssue, words = "of another form"): string {
  switch (issue.code) {
    case "invalid_type":
      return typeWords[issue.expected] ?? `of type ${issue.expected}`;
    case "invalid_value":
      return alternatives(issue.values.map((value) => JSON.stringify(value)));
    case "too_small":
      return bound(
        issue.origin,
        issue.inclusive === false ? "more than" : "at least",
        issue.minimum,
      );
    case "too_big":
      return bound(
        issue.origin,
        issue.inclusive === false ? "less than" : "at most",
        issue.maximum,
      );
    case "not_multiple_of":
      return `a multiple of ${issue.divisor}`;
    case "custom":
      // The words of our own refinements ("must be …" is said already); zod has none of its own for them.
      return issue.message;
    default:
      return words;
  }
}

function alternatives(values: readonly string[]): string {
  return values.length === 1 ? (values[0] ?? "") : `one of ${values.join(", ")}`;
}

function bound(origin: string, relation: string, limit: number | bigint): string {
  if (origin === "string") return `${relation} ${count(Number(limit), "character")} long`;
  if (origin === "array") return `a list of ${relation} ${count(Number(limit), "item")}`;
  return `${relation} ${limit}`;
}

const secretNames = /password|secret|token|(?:^|[_.])key|certificate|private|cipassword/iu;

/** What was given, short enough to recognise and never a secret. */
function shown(argument: string, value: unknown): string {
  if (Array.isArray(value)) return `a list of ${count(value.length, "item")}`;
  if (value === null) return "null";
  if (typeof value === "object") return "an object";
  if (typeof value !== "string") return String(value);
  return secretNames.test(argument)
    ? `a string of ${count(value.length, "character")}`
    : JSON.stringify(echoed(value, 40));
}
