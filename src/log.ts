export type LogLevel = "debug" | "info" | "warn" | "error";

/** What happened, as one short snake_case word or two, with the facts beside it. */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

export interface LogOptions {
  /** Gets one line, newline included. On a stdio server this must be stderr: stdout is the protocol's. */
  readonly write: (line: string) => void;
  readonly secrets: readonly string[];
  /** Events below it are dropped. */
  readonly level: LogLevel;
  readonly now?: () => number;
}

const severity: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** One JSON line an event; secrets are removed from every string before it is written. Never throws. */
export function createLog({ write, secrets, level, now = Date.now }: LogOptions): Log {
  const redact = redactor(secrets);
  const at =
    (rank: LogLevel) =>
    (event: string, fields: LogFields = {}) => {
      if (severity[rank] < severity[level]) return;
      const head = { time: new Date(now()).toISOString(), level: rank, event };
      write(`${line(head, fields, redact)}\n`);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function line(head: LogFields, fields: LogFields, redact: (text: string) => string): string {
  try {
    return JSON.stringify({ ...head, ...safeFields(fields, redact, 0), ...head });
  } catch {
    // A hostile toJSON or getter must not take the server down with it.
    return JSON.stringify({ ...head, lost: "the fields could not be written" });
  }
}

const maxDepth = 6;
const maxLength = 8_000;
const secretNames =
  /^(?:.*(?:password|passwd|secret)|authorization|cookie|set-cookie|csrfpreventiontoken|ticket|private_?key)$/iu;

function safeFields(fields: object, redact: (text: string) => string, depth: number): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      redact(name),
      secretNames.test(name) && value !== undefined ? "***" : safe(value, redact, depth + 1),
    ]),
  );
}

function safe(value: unknown, redact: (text: string) => string, depth: number): unknown {
  if (typeof value === "string") return redact(value).slice(0, maxLength);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth > maxDepth) return "…";
  if (Array.isArray(value)) return value.map((item) => safe(item, redact, depth + 1));
  if (value instanceof Error) return safeFields(errorFields(value), redact, depth);
  return safeFields(value, redact, depth);
}

/** An error's own words are not enumerable, and its stack is what a log is for. */
function errorFields(error: Error): LogFields {
  const { name, message, stack, cause } = error;
  return { ...error, name, message, stack, ...(cause === undefined ? {} : { cause }) };
}

/** Shorter secrets would blank out innocent words everywhere, which hides nothing and ruins the text. */
const minSecretLength = 4;

/** Credentials as Proxmox writes them: an API token in its header, a private key, a ticket in its cookie, a CSRF token. */
const credentialPatterns: readonly (readonly [RegExp, string])[] = [
  [
    // To its end, or where that was cut off, as far as a key may go: what is said after it stays.
    /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?:[^-]|-(?!----))*-----END [A-Z ]*PRIVATE KEY-----|(?:[^-".;…]|-(?!----))*)/gu,
    "***",
  ],
  [/(PVEAPIToken=[^\s=,;"']*=)[^\s,;"']+/giu, "$1***"],
  [/(PVEAuthCookie=)[^\s,;"']+/giu, "$1***"],
  [/(CSRFPreventionToken["']?\s*[:=]\s*["']?)[^\s,;"']+/giu, "$1***"],
  [/\bPVE[A-Z]*:[^\s:]*:?[0-9A-F]{8}::[A-Za-z0-9+/=]+/gu, "***"],
  [/\bPVE[A-Z]*%3A[^\s:]*[0-9A-F]{8}%3A%3A[A-Za-z0-9%]+/giu, "***"],
  [/\b[0-9A-F]{8}(?::|%3A)(?:[A-Za-z0-9+/]|%2B|%2F){43}(?:=|%3D)?(?![A-Za-z0-9+/])/gu, "***"],
];

/** Whatever a pattern above matches has one of these in it, and nearly no text has: one look spares seven. */
const suspicious =
  /-----BEGIN|PVEAPIToken|PVEAuthCookie|CSRFPreventionToken|[0-9A-F]{8}(?::|%3A)/iu;
/** `PVEAPIToken==x`: the shortest text that a pattern above matches. */
const minCredentialLength = 14;

/** A function that replaces the given secrets, also percent-encoded, and anything that looks like a Proxmox credential, by `***`. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const needles = [...new Set(secrets.flatMap((secret) => [secret, encodeURIComponent(secret)]))]
    .filter((needle) => needle.length >= minSecretLength)
    // The longest first: a secret that begins like another must not leave its tail behind.
    .sort((a, b) => b.length - a.length);
  return (text) => {
    const known = needles.reduce((rest, needle) => rest.replaceAll(needle, "***"), text);
    if (known.length < minCredentialLength || !suspicious.test(known)) return known;
    return credentialPatterns.reduce((rest, [shape, mask]) => rest.replace(shape, mask), known);
  };
}
