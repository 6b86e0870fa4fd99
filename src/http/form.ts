import { Problem } from "../problem.ts";

/** Parameters of a request by their PVE names; undefined is not sent, a list is sent as a repeated key. */
export type Params = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

/**
 * `application/x-www-form-urlencoded`, for the query as for the body. Booleans are 1 and 0: PVE knows no other.
 * Everything but letters, digits and `-_.!~*'()` is escaped, `;` and `=` above all: PVE splits at both.
 * An empty value counts as not given there; to clear a setting, name it in `delete`.
 * Throws `invalid_input` for half a character, which has no bytes.
 * PVE: pve-http-server src/PVE/APIServer/AnyEvent.pm (decode_urlencoded)
 */
export function encodeForm(params: Params): string {
  const pairs: string[] = [];
  for (const [key, value] of Object.entries(params)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) {
      pairs.push(`${encodeURIComponent(key)}=${escaped(key, plain(one))}`);
    }
  }
  return pairs.join("&");
}

function plain(value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  return String(value);
}

function escaped(key: string, value: string): string {
  if (!/\p{Surrogate}/u.test(value)) return encodeURIComponent(value);
  throw new Problem("invalid_input", `${key} holds half a character. Nothing was sent.`, {
    next: `Write ${key} again, in whole characters.`,
    facts: { argument: key },
  });
}
