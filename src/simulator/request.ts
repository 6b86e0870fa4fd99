import type { Method, WireRequest } from "../http/transport.ts";
import { Refusal } from "./refusal.ts";

/** Decoded parameters: a repeated key is an array, a key without a value is not given. */
export type Given = Record<string, string | string[]>;

/** A request as pve-http-server understands it. */
export interface ParsedRequest {
  readonly method: Method;
  /** Decoded, without /api2/json, slashes collapsed: `/nodes/pve1/qemu/101/config`. */
  readonly path: string;
  readonly query: Given;
  readonly body: Given;
  /** Of a multipart body, which is read only after the login was judged. */
  readonly boundary?: string;
}

/** Only files may be sent in parts (PVE::APIServer::AnyEvent). */
const uploads = /^\/nodes\/[^/]+\/storage\/[^/]+\/upload$/;

const known: ReadonlySet<string> = new Set(["GET", "POST", "PUT", "DELETE"]);

/** PVE::APIServer::AnyEvent: percent-decodes the whole path before anybody splits it. Throws what the server refuses itself. */
export function parseRequest(request: WireRequest): ParsedRequest {
  if (!known.has(request.method)) {
    throw new Refusal(501, `method '${request.method}' not available`, { bare: true, empty: true });
  }
  const [rawPath = "", rawQuery = ""] = splitOnce(request.path, "?");
  const path = decode(rawPath).replace(/\/+/g, "/");
  const query = parseForm(rawQuery);
  delete query["_dc"];
  const form = request.method === "POST" || request.method === "PUT";
  if (!form && request.body !== undefined && request.body !== "") {
    throw new Refusal(501, `Unexpected content for method '${request.method}'`, { bare: true });
  }
  const api = /^\/api2\/([a-z][a-z0-9]+)(\/.*)?$/.exec(path);
  if (!api) throw new Refusal(500, `no such file '${path}'`, { bare: true });
  if (api[1] !== "json") {
    throw new Refusal(501, `no formatter for uri ${api[2] ?? "/"}, ${api[1]}`, { bare: true });
  }
  const inner = (api[2] ?? "/").replace(/\/$/, "");
  const { method } = request;
  const boundary = method === "POST" && uploads.test(inner) ? boundaryOf(request) : undefined;
  if (boundary !== undefined) return { method, path: inner, query, body: {}, boundary };
  const body = form ? parseBody(request) : {};
  return { method, path: inner === "" ? "/" : inner, query, body };
}

/** The boundary of a multipart body; undefined where the body is none. */
function boundaryOf(request: WireRequest): string | undefined {
  const type = request.headers["content-type"] ?? "";
  return /^multipart\/form-data;\s*boundary="?([^";]+)"?/.exec(type)?.[1];
}

function parseBody(request: WireRequest): Given {
  const text = request.body ?? "";
  const type = (request.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";
  if (text.length > 524_288 || (request.stream?.length ?? 0) > 524_288)
    throw new Refusal(501, "for data too large", { bare: true });
  if (text === "" && !request.stream) return {};
  if (type === "" || type === "application/x-www-form-urlencoded") return parseForm(text);
  if (type !== "application/json") {
    throw new Refusal(506, `upload 'Content-Type '${type}' not implemented`, { bare: true });
  }
  const given: Given = {};
  for (const [key, value] of Object.entries(parseJson(text))) {
    if (Array.isArray(value)) given[key] = value.map(jsonText);
    else if (value !== null) given[key] = jsonText(value);
  }
  return given;
}

function parseJson(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // refused below, as anything else that is no object
  }
  throw new Refusal(
    500,
    "malformed JSON string, neither tag, array, object, number, string or atom",
    {
      bare: true,
    },
  );
}

/** Stands for a JSON object, which no parameter takes. */
export const hash = "\0HASH";

function jsonText(value: unknown): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  return typeof value === "object" ? hash : String(value);
}

/** Splits at `&` and `;`, keeps only the first two pieces around `=`. */
export function parseForm(text: string): Given {
  const given: Given = {};
  for (const pair of text.split(/[&;]/)) {
    const [rawKey = "", rawValue] = pair.split("=");
    if (rawKey === "" || rawValue === undefined || rawValue === "") continue;
    const key = decode(rawKey.replaceAll("+", " "));
    const value = decode(rawValue.replaceAll("+", " "));
    const before = given[key];
    if (before === undefined) given[key] = value;
    else given[key] = [before, value].flat();
  }
  return given;
}

/** A percent sign that begins no byte stays as it is, as in Perl. */
function decode(text: string): string {
  const bytes: number[] = [];
  const source = new TextEncoder().encode(text);
  for (let at = 0; at < source.length; at++) {
    const byte = source[at] ?? 0;
    const hex = byte === 0x25 ? String.fromCharCode(...source.subarray(at + 1, at + 3)) : "";
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      at += 2;
    } else {
      bytes.push(byte);
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
