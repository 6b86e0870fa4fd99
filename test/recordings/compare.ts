import { dataOf, isRecord } from "./recording.ts";

export interface Reply {
  readonly status: number;
  readonly reason: string;
  readonly body: unknown;
}

/** How two answers differ: status, reason, texts, what started or became of a task, the shape of the body. */
export function differences(recorded: Reply, simulated: Reply): string[] {
  const found: string[] = [];
  const compare = (what: string, there: unknown, here: unknown) => {
    if (there !== here) found.push(`${what}: ${there} there, ${here} here`);
  };
  compare("status", recorded.status, simulated.status);
  compare("reason", withoutIds(recorded.reason), withoutIds(simulated.reason));
  if (found.length > 0) return found;
  compare("text", textOf(recorded.body), textOf(simulated.body));
  const there = dataOf(recorded.body);
  const here = dataOf(simulated.body);
  if (typeof there === "string" && typeof here === "string") {
    compare("task", taskOf(there), taskOf(here));
  }
  if (isRecord(there) && isRecord(here)) {
    for (const name of telling) compare(name, plain(there[name]), plain(here[name]));
  }
  return [...found, ...shapeDifferences(recorded.body, simulated.body)];
}

/** Fields whose values have to be the same, not only their types. */
const telling = ["status", "exitstatus", "qmpstatus", "lock", "name", "tags", "type"];

function plain(value: unknown): unknown {
  return typeof value === "string" ? withoutIds(value) : value;
}

/** The texts of a refusal, or a body that is no JSON. */
function textOf(body: unknown): string {
  if (!isRecord(body)) return withoutIds(String(body));
  const { message = "", errors = {} } = body;
  const texts = isRecord(errors) ? Object.entries(errors).sort() : [];
  return withoutIds(JSON.stringify([String(message).trimEnd(), texts]));
}

/** Type, id and user of a UPID. */
function taskOf(upid: string): string {
  return upid.startsWith("UPID:") ? upid.split(":").slice(5).join(":") : "";
}

/** Kinds of a JSON value at a place: `number`, `null`, `[]` for an empty list. */
type Kinds = Map<string, Set<string>>;

/** How the shapes of two bodies differ: names and JSON types of fields, lists by the union of their items. Empty: not at all. */
export function shapeDifferences(recorded: unknown, simulated: unknown): string[] {
  const theirs = shapeOf(recorded);
  const ours = shapeOf(simulated);
  const found: string[] = [];
  for (const place of new Set([...theirs.keys(), ...ours.keys()])) {
    const wanted = text(theirs.get(place));
    const got = text(ours.get(place));
    if (wanted !== got) found.push(`${place}: ${wanted} there, ${got} here`);
  }
  return found;
}

function text(kinds: ReadonlySet<string> | undefined): string {
  return kinds === undefined ? "nothing" : [...kinds].sort().join("|");
}

function shapeOf(value: unknown): Kinds {
  const kinds: Kinds = new Map();
  collect(kinds, "", value);
  return kinds;
}

function collect(kinds: Kinds, place: string, value: unknown): void {
  add(kinds, place, kindOf(value));
  if (Array.isArray(value)) for (const item of value) collect(kinds, `${place}[]`, item);
  else if (isRecord(value)) {
    for (const [key, inner] of Object.entries(value)) collect(kinds, `${place}.${key}`, inner);
  }
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? "empty list" : "list";
  return typeof value;
}

function add(kinds: Kinds, place: string, kind: string): void {
  const known = kinds.get(place) ?? new Set();
  known.add(kind);
  kinds.set(place, known);
}

/** A text without what differs from run to run: task and process ids, digests, addresses, places in PVE's sources. */
export function withoutIds(value: string): string {
  return value
    .replace(/UPID:[^\s']+:/g, "<upid>")
    .replace(/\b[0-9a-f]{40}\b/g, "<digest>")
    .replace(/mismatch: got '[0-9a-f]{64}'/g, "mismatch: got '<checksum>'")
    .replace(/vzdump-(\w+)-(\d+)-[\d_]+-[\d_]+/g, "vzdump-$1-$2-<time>")
    .replace(/, at character offset .*/s, "")
    .replace(/ at \/usr\/share\/\S+ line \d+\./g, "")
    .trim();
}
