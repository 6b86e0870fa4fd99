import { Problem } from "../src/problem.ts";

export interface Page<T> {
  readonly items: readonly T[];
  readonly total: number;
  /** How many come after this page. */
  readonly left: number;
  /** Absent on the last page. */
  readonly next?: string;
}

/**
 * One page of a list. The cursor remembers the last item shown, by the key that tells items apart, so that a list which has grown
 * or shrunk meanwhile goes on behind it and skips nothing. It holds for the same arguments only: throws invalid_input for any other.
 */
export function page<T>(
  all: readonly T[],
  keyOf: (item: T) => string,
  { limit, cursor, args }: PageOptions,
): Page<T> {
  const forArgs = fingerprint(JSON.stringify(args, Object.keys(args).sort()));
  const start =
    cursor === undefined ? 0 : startOf(cursor, forArgs, all.map(keyOf).map(fingerprint));
  const items = all.slice(start, start + limit);
  const left = Math.max(0, all.length - start - items.length);
  const last = items.at(-1);
  if (left === 0 || last === undefined) return { items, total: all.length, left };
  const mark = [start + items.length, all.length, forArgs, fingerprint(keyOf(last))].join(".");
  const next = Buffer.from(mark).toString("base64url");
  return { items, total: all.length, left, next };
}

export interface PageOptions {
  readonly limit: number;
  readonly cursor: string | undefined;
  /** Everything else that decides what the list is. */
  readonly args: Readonly<Record<string, unknown>>;
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
