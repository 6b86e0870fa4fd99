import { Problem } from "../src/problem.ts";

export interface Page<T, Fields> {
  readonly items: readonly T[];
  /** The items as they are answered. */
  readonly shown: readonly Fields[];
  readonly total: number;
  /** How many come after this page. */
  readonly left: number;
  /** Absent on the last page. */
  readonly next?: string;
}

/**
 * What a page may weigh, in characters of JSON, where nobody asks for more than the usual number of items: it keeps an answer within
 * 2,000 tokens. Whoever asks for more items gets that much more room.
 */
const room = 6_100;
const usual = 25;

/**
 * One page of a list: at most `limit` items, fewer where they are long, at least one. The cursor remembers the last item shown, by the
 * key that tells items apart, so that a list which has grown or shrunk meanwhile goes on behind it and skips nothing. It holds for the
 * same arguments only: throws invalid_input for any other.
 */
export function page<T, Fields>(
  all: readonly T[],
  keyOf: (item: T) => string,
  { limit, cursor, args, fields }: PageOptions<T, Fields>,
): Page<T, Fields> {
  const forArgs = fingerprint(JSON.stringify(args, Object.keys(args).sort()));
  const start =
    cursor === undefined ? 0 : startOf(cursor, forArgs, all.map(keyOf).map(fingerprint));
  const shown = fitting(all.slice(start, start + limit).map(fields), limit);
  const items = all.slice(start, start + shown.length);
  const left = Math.max(0, all.length - start - items.length);
  const last = items.at(-1);
  if (left === 0 || last === undefined) return { items, shown, total: all.length, left };
  const mark = [start + items.length, all.length, forArgs, fingerprint(keyOf(last))].join(".");
  const next = Buffer.from(mark).toString("base64url");
  return { items, shown, total: all.length, left, next };
}

export interface PageOptions<T, Fields> {
  readonly limit: number;
  readonly cursor: string | undefined;
  /** Everything else that decides what the list is. */
  readonly args: Readonly<Record<string, unknown>>;
  /** What of an item is answered. */
  readonly fields: (item: T) => Fields;
}

/** As many as there is room for. */
function fitting<Fields>(all: readonly Fields[], limit: number): readonly Fields[] {
  let left = (room * Math.max(limit, usual)) / usual;
  const end = all.findIndex((one, index) => {
    left -= weight(JSON.stringify(one));
    return left < 0 && index > 0;
  });
  return end < 0 ? all : all.slice(0, end);
}

/** Three characters are a token of usual text; figures, marks and other scripts weigh more, and are counted in pieces. */
function weight(json: string): number {
  const pieces = json.match(/[a-z]{1,8}|[0-9]{1,3}|[^a-z0-9\u0080-\uffff]{1,3}|[\u0080-\uffff]/gi);
  return Math.max(json.length + 1, 3 * (pieces?.length ?? 0));
}

function startOf(cursor: string, args: string, keys: readonly string[]): number {
  const [, offset, total, forArgs, last] =
    /^([0-9]{1,9})\.([0-9]{1,9})\.([0-9a-z]+)\.([0-9a-z]+)$/.exec(
      Buffer.from(cursor, "base64url").toString(),
    ) ?? [];
  if (offset !== undefined && last !== undefined && forArgs === args) {
    const at = keys.indexOf(last);
    if (at >= 0) return at + 1;
    // The last item shown is gone: as many others may have gone from before it; rather one twice than one never.
    return Math.max(0, Number(offset) - Math.max(1, Number(total) - keys.length));
  }
  throw new Problem("invalid_input", "cursor does not belong to a list with these arguments.", {
    next: "Repeat the arguments of the call that gave the cursor, or leave cursor out to begin anew.",
    facts: { argument: "cursor" },
  });
}

/** Short, and different for other texts: enough to tell a mistake. */
function fingerprint(text: string): string {
  let hash = 0;
  for (const char of text) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0;
  return (hash >>> 0).toString(36);
}
