import { Problem } from "../src/problem.ts";

export interface Page<T> {
  readonly items: readonly T[];
  readonly total: number;
  /** How many come after this page. */
  readonly left: number;
  /** Absent on the last page. */
  readonly next?: string;
}

/** One page of a list. The cursor holds for the same arguments only. Throws invalid_input for any other. */
export function page<T>(
  all: readonly T[],
  limit: number,
  cursor: string | undefined,
  args: Readonly<Record<string, unknown>>,
): Page<T> {
  const key = fingerprint(args);
  const start = cursor === undefined ? 0 : offset(cursor, key);
  const items = all.slice(start, start + limit);
  const left = Math.max(0, all.length - start - items.length);
  const next = left > 0 ? { next: encode(start + items.length, key) } : {};
  return { items, total: all.length, left, ...next };
}

function encode(offset: number, key: string): string {
  return Buffer.from(`${offset}.${key}`).toString("base64url");
}

function offset(cursor: string, key: string): number {
  const [, start, forArgs] =
    /^([0-9]{1,9})\.(.*)$/.exec(Buffer.from(cursor, "base64url").toString()) ?? [];
  if (start !== undefined && forArgs === key) return Number(start);
  throw new Problem("invalid_input", "cursor does not belong to a list with these arguments.", {
    next: "Repeat the arguments of the call that gave the cursor, or leave cursor out to begin anew.",
    facts: { argument: "cursor" },
  });
}

/** Short, and different for other arguments: enough to tell a mistake. */
function fingerprint(args: Readonly<Record<string, unknown>>): string {
  let hash = 0;
  for (const char of JSON.stringify(args, Object.keys(args).sort())) {
    hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0;
  }
  return (hash >>> 0).toString(36);
}
