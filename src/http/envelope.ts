import type { WireReply } from "./transport.ts";

/** What PVE answered, without its wrapping. */
export interface ApiReply {
  readonly data: unknown;
  /** Of a list that was asked for in pages; PVE leaves it out when it is 0. */
  readonly total?: number;
  /** The host's own time when it answered, ms since the epoch. */
  readonly date?: number;
  /** Length of the answer's body in characters. */
  readonly bytes: number;
}

/**
 * The content of a successful answer; undefined for everything that is none: another status, an empty body, HTML, JSON that was
 * cut, JSON without `data`. PVE always sends `data`, null included, so its absence means that somebody else answered.
 * PVE: pve-http-server src/PVE/APIServer/Formatter/Standard.pm (prepare_response_data)
 */
export function readEnvelope(reply: WireReply): ApiReply | undefined {
  if (reply.status < 200 || reply.status > 299) return undefined;
  const content = parseBody(reply.body);
  if (!content || !("data" in content) || content.success === 0) return undefined;
  const total = Number(content.total ?? Number.NaN);
  const { date: stamp = "" } = reply.headers;
  const date = Date.parse(stamp);
  return {
    data: content.data,
    bytes: reply.body.length,
    ...(Number.isFinite(total) && { total }),
    ...(Number.isFinite(date) && { date }),
  };
}

/**
 * A refusal with its own status, where that stands in the body: answers for the web interface (`/api2/extjs`) all have status 200.
 * PVE: pve-http-server src/PVE/APIServer/Formatter/Standard.pm (prepare_response_data)
 */
export function asRefusal(reply: WireReply): WireReply {
  const content = reply.status === 200 ? parseBody(reply.body) : undefined;
  if (content?.success !== 0) return reply;
  const [reason = ""] = String(content.message ?? "").split("\n");
  return { ...reply, status: Number(content.status) || 500, reason };
}

/** The keys that PVE's bodies have; what they hold is to be looked at. */
export interface Body {
  readonly success?: unknown;
  readonly status?: unknown;
  readonly data?: unknown;
  readonly total?: unknown;
  readonly message?: unknown;
  readonly errors?: unknown;
}

/** The JSON object that a body is; undefined for everything else. */
export function parseBody(body: string): Body | undefined {
  try {
    const content: unknown = JSON.parse(body);
    return isObject(content) ? content : undefined;
  } catch {
    return undefined;
  }
}

/** Something with keys: not null and not a list. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
