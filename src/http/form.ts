import { randomBytes } from "node:crypto";
import { Problem } from "../problem.ts";
import type { BodyStream, FilePart } from "./transport.ts";

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

/**
 * `multipart/form-data` as pveproxy reads it: the parameters in the order in which they are given, then the file in a part called
 * `filename`; Content-Disposition is the first header of each part. Throws TypeError for text that would break the frame.
 * PVE: pve-http-server src/PVE/APIServer/AnyEvent.pm (file_upload_multipart)
 */
export function encodeMultipart(
  params: Params,
  file: FilePart,
  boundary = `upload-${randomBytes(16).toString("hex")}`,
): { readonly type: string; readonly stream: BodyStream } {
  const parts = Object.entries(params)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${disposition(boundary, name)}\r\n\r\n${framed(String(value))}\r\n`);
  const named = `${disposition(boundary, "filename")}; filename="${framed(file.filename)}"`;
  const head = Buffer.from(
    `${parts.join("")}${named}\r\nContent-Type: application/octet-stream\r\n\r\n`,
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    stream: {
      length: head.length + file.length + tail.length,
      async *open() {
        yield head;
        yield* file.open();
        yield tail;
      },
    },
  };
}

function disposition(boundary: string, name: string): string {
  return `--${boundary}\r\nContent-Disposition: form-data; name="${framed(name)}"`;
}

function framed(text: string): string {
  if (/[\r\n"]/.test(text))
    throw new TypeError("a part of a multipart body holds a line or a quote");
  return text;
}
