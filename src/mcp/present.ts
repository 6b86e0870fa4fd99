import { redactor } from "../log.ts";
import { count } from "../text.ts";

/** Makes whatever leaves the server harmless to read: for a terminal, for a model and for the owner of the secrets. */
export interface Presenter {
  /** One string: cleaned, redacted, cut to `maxChars` (default 4,000) with a mark where it was cut. */
  text(text: string, maxChars?: number): string;
  /** The text of an answer: as above, cut at a line within the budget, with a note of how much is missing. */
  answer(text: string): string;
  /** Any JSON value, deeply: every string and key cleaned; undefined, null and NaN fields are absent. */
  value(value: unknown): unknown;
}

export interface PresentOptions {
  readonly secrets: readonly string[];
  readonly maxStringChars?: number;
  readonly maxAnswerChars?: number;
}

/**
 * Colours, cursor moves, titles and device strings, in their 7-bit and 8-bit forms. One that is never closed takes its
 * line with it, but not the lines after it: else a guest could hide the rest of an answer.
 */
const ansi = new RegExp(
  [
    "(?:\\u001b\\[|\\u009b)[0-?]*[ -/]*[@-~]",
    "(?:\\u001b\\]|\\u009d)[^\\u0007\\u001b\\u009c\\n]*(?:\\u0007|\\u001b\\\\|\\u009c)?",
    "(?:\\u001b[PX^_]|[\\u0090\\u0098\\u009e\\u009f])[^\\u001b\\u009c\\n]*(?:\\u001b\\\\|\\u009c)?",
    "\\u001b[ -/]*[0-~]",
  ].join("|"),
  "gu",
);

/** Carriage returns and the Unicode separators break lines in some terminals and not in others. */
const lineBreaks = /\r\n?|[\u0085\u2028\u2029]/gu;

/**
 * Control characters except newline and tab; everything Unicode calls ignorable (zero width, bidi controls, fillers,
 * variation selectors, tags), which can carry text that a person does not see; interlinear annotation.
 */
const unseen = /(?![\n\t])[\p{Cc}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu;

/** Half a character: not valid in JSON for every reader. */
const loneSurrogates = /\p{Surrogate}/gu;

/** Most texts: nothing in them could be hidden or steer anything. */
const harmless = /^[\n\t -~]*$/;

/** Takes out what a reader cannot see or what would steer a terminal; keeps newlines and tabs. */
export function visible(text: string): string {
  if (harmless.test(text)) return text;
  return text
    .replace(ansi, "")
    .replace(lineBreaks, "\n")
    .replace(unseen, "")
    .replace(loneSurrogates, "\ufffd");
}

/** A presenter for one set of secrets. */
export function createPresenter(options: PresentOptions): Presenter {
  const { secrets, maxStringChars = 4_000, maxAnswerChars = 8_000 } = options;
  const redact = redactor(secrets);
  // Redaction comes before the cut (half a secret is a secret too) and after the cleaning (which could join one).
  const clean = (text: string) => redact(visible(text));
  const text = (raw: string, maxChars = maxStringChars) => cut(clean(raw), maxChars);
  const value = (raw: unknown): unknown => {
    if (typeof raw === "string") return text(raw);
    if (typeof raw === "bigint")
      return Number.isSafeInteger(Number(raw)) ? Number(raw) : String(raw);
    if (Array.isArray(raw)) return raw.map(value).filter((item) => item !== undefined);
    if (typeof raw === "object" && raw !== null) return fields(raw, clean, value);
    return typeof raw === "number" && !Number.isFinite(raw) ? undefined : raw;
  };
  return { text, value, answer: (raw) => cutAnswer(clean(raw).trim(), maxAnswerChars) };
}

function fields(
  raw: object,
  clean: (text: string) => string,
  value: (raw: unknown) => unknown,
): Record<string, unknown> {
  const shown: [string, unknown][] = [];
  for (const [name, field] of Object.entries(raw)) {
    const clear = value(field);
    if (clear !== undefined && clear !== null) shown.push([clean(name), clear]);
  }
  return Object.fromEntries(shown);
}

function cut(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  const kept = wholeCharacters(text.slice(0, maxChars));
  return `${kept}… (${count(text.length - kept.length, "more character")})`;
}

function cutAnswer(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  const head = wholeCharacters(text.slice(0, maxChars));
  const lastLine = head.lastIndexOf("\n");
  // A table is cut between its rows, unless the last line is so long that half the answer would go with it.
  const kept = lastLine > maxChars / 2 ? head.slice(0, lastLine) : head;
  const missing = count(text.length - kept.length, "more character");
  return `${kept}\n… cut here, ${missing}. Narrow the question (filters, limit, fewer parts) to see the rest.`;
}

function wholeCharacters(text: string): string {
  return /[\ud800-\udbff]$/.test(text) ? text.slice(0, -1) : text;
}
