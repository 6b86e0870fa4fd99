/** One column of a table: its header, and how a row fills its cell (undefined stays blank). */
export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => string | number | undefined;
  /** Figures read better when they end at the same place. */
  readonly right?: boolean;
}

/**
 * Plain aligned columns under one header line, no borders; columns without a single value are left out.
 * Every cell is made one line, so that text from guests cannot fake a row.
 */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const filled = columns
    .map((column) => ({
      head: column.head,
      right: column.right ?? false,
      cells: rows.map((row) => oneLine(String(column.cell(row) ?? ""), 80)),
    }))
    .filter((column) => column.cells.some((cell) => cell !== ""));
  const padded = filled.map(({ head, right, cells }) => {
    const width = Math.max(...[head, ...cells].map((cell) => cell.length));
    return [head, ...cells].map((cell) => (right ? cell.padStart(width) : cell.padEnd(width)));
  });
  const lines = filled.length === 0 ? 0 : rows.length + 1;
  return Array.from({ length: lines }, (_, index) =>
    padded
      .map((cells) => cells[index] ?? "")
      .join("  ")
      .trimEnd(),
  ).join("\n");
}

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `1536` → `1.5 KiB`; at most one decimal, none from 100 on. */
export function bytes(sizeBytes: number): string {
  const size = Math.abs(sizeBytes);
  const unit = byteUnits.findLastIndex((_, power) => size >= 1024 ** power);
  const power = promoted(size, Math.max(unit, 0));
  const value = size / 1024 ** power;
  const sign = sizeBytes < 0 ? "-" : "";
  return `${sign}${figure(value)} ${byteUnits[power] ?? "B"}`;
}

/** 1023.99 MiB would be shown as `1024 MiB`; it is 1 GiB to a reader. */
function promoted(size: number, power: number): number {
  const rounded = Math.round(size / 1024 ** power);
  return power > 0 && rounded >= 1024 && power < byteUnits.length - 1 ? power + 1 : power;
}

function figure(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
}

const durationUnits = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
] as const;

/** `90061` → `1 d 1 h`: the two largest units; below ten seconds with one decimal. */
export function duration(seconds: number): string {
  const total = Math.max(0, seconds);
  if (total < 9.95) return `${Math.round(total * 10) / 10} s`;
  if (total < 59.5) return `${Math.round(total)} s`;
  let rest = total < 3_600 ? Math.round(total) : Math.round(total / 60) * 60;
  const parts: string[] = [];
  for (const [unit, size] of durationUnits) {
    const amount = Math.floor(rest / size);
    if (amount > 0) parts.push(`${amount} ${unit}`);
    rest -= amount * size;
  }
  if (rest > 0) parts.push(`${rest} s`);
  return parts.slice(0, 2).join(" ");
}

/** `0.1234` → `12 %`; one decimal below ten, so that 0.4 % is not 0 %. */
export function percent(fraction: number): string {
  const value = fraction * 100;
  return `${Math.abs(value) < 10 ? Math.round(value * 10) / 10 : Math.round(value)} %`;
}

/** `count(1, "guest")` → `1 guest`, `count(2, "guest")` → `2 guests`; irregular plurals are given. */
export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** `7200` → `7 s ago`, whole seconds. */
export function ago(ageMs: number): string {
  return `${duration(ageMs < 9_950 ? Math.round(ageMs / 1000) : ageMs / 1000)} ago`;
}

/** All white space becomes single spaces; longer than `max` characters ends in `…`. */
export function oneLine(text: string, max: number): string {
  const flat = text.replace(/\s+/gu, " ").trim();
  if (flat.length <= max) return flat; // no more characters than units, and far cheaper to know
  const points = Array.from(flat);
  return points.length <= max ? flat : `${points.slice(0, Math.max(0, max - 1)).join("")}…`;
}

/** Longer than any word, in letters of both cases, as keys are written. */
function isKeyLike(text: string): boolean {
  const runs = text.match(/[A-Za-z0-9+/=]{20,}/g) ?? [];
  return runs.some((run) => /[a-z]/.test(run) && /[A-Z]/.test(run));
}

/** What a caller gave, to be repeated to him: not where it may be a key or a password file that landed in the wrong place. */
export function echoed(given: string, max: number): string {
  return given.includes("-----") || given.trim().includes("\n") || isKeyLike(given)
    ? `(${count(given.length, "character")}, not repeated here: it looks like a key)`
    : oneLine(given, max);
}

/** One sentence after another; what others say often ends without a full stop. */
export function followedBy(sentence: string, next: string | undefined): string {
  if (next === undefined || next === "") return sentence;
  if (sentence.endsWith("\n")) return sentence + next;
  return `${sentence}${/[.!?:;…]["')\]]*$/.test(sentence) ? "" : "."} ${next}`;
}

/** The words of a list as people write it: separated by commas, white space or both. */
export function list(text: string): string[] {
  return text.split(/[\s,]+/u).filter((word) => word !== "");
}

/** Without white space and quotes around it; undefined when nothing is left. */
export function unquoted(text: string | undefined): string | undefined {
  const inner = text
    ?.trim()
    .replace(/^(["'])(.*)\1$/su, "$2")
    .trim();
  return inner === "" ? undefined : inner;
}

/**
 * The at most `limit` candidates that `word` may have meant: those that start alike or are few typing errors away.
 * The best first; ties in the order of the alphabet, so that the same question has the same answer.
 */
export function closest(word: string, candidates: readonly string[], limit: number): string[] {
  return [...new Set(candidates)]
    .map((candidate) => ({ candidate, score: distance(word, candidate) }))
    .filter(({ score }) => score !== undefined)
    .sort((a, b) => (a.score ?? 0) - (b.score ?? 0) || order(a.candidate, b.candidate))
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** Typing errors from one to the other; undefined when they have too little in common to be worth a mention. */
function distance(word: string, candidate: string): number | undefined {
  const a = word.toLowerCase();
  const b = candidate.toLowerCase();
  const common = Math.min(a.length, b.length);
  if (a === b) return 0;
  if (common >= 2 && (a.startsWith(b) || b.startsWith(a))) return 0.5;
  if (common >= 3 && (a.includes(b) || b.includes(a))) return 1.5;
  if (a.length > 64 || b.length > 64) return undefined;
  const errors = edits(a, b);
  return errors <= Math.max(1, Math.floor(Math.max(a.length, b.length) / 3)) ? errors : undefined;
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function edits(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        (above[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (above[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? 0;
}

/** An address as tools print it, up to white space or a quote. */
const address = /\b([a-z][a-z0-9+.-]{1,20}:\/\/)([^\s'"<>`]+)/giu;

/**
 * What Proxmox has written, its addresses without user, password, query and fragment: a signed address is a key, and Proxmox prints it
 * into logs and errors. PVE: pve-common src/PVE/Tools.pm (download_file_from_url), and what wget says
 */
export function discreet(text: string): string {
  if (!text.includes("://")) return text;
  return text.replace(address, (_, scheme: string, rest: string) => {
    const end = rest.search(/[?#]/);
    const plain = end < 0 ? rest : rest.slice(0, end);
    const slash = plain.indexOf("/");
    const host = slash < 0 ? plain : plain.slice(0, slash);
    const shown = host.includes("@") ? `…${plain.slice(host.lastIndexOf("@"))}` : plain;
    return `${scheme}${shown}${end < 0 ? "" : `${rest[end]}…`}`;
  });
}
