import { Problem } from "../problem.ts";

/** Makes `ApiPath` a type that only this file can produce. */
declare const made: unique symbol;

/** A path below `/api2/json`, encoded as it stands in the request line: only this file makes them, so none is glued together. */
export type ApiPath = string & { readonly [made]: true };

/** A value that is the whole rest of the path, slashes included; made by `rest`. */
export class Rest {
  readonly value: string;

  constructor(value: string) {
    this.value = value;
  }
}

/**
 * Marks the last value of a path that PVE reads to the end (`…/content/{volume}`, `…/ipset/{name}/{cidr}`): its slashes stay
 * slashes. It still holds no empty, `.` or `..` piece.
 * PVE: pve-common src/PVE/RESTHandler.pm (fragmentDelimiter ''), pve-storage src/PVE/API2/Storage/Content.pm
 */
export function rest(value: string): Rest {
  return new Rest(value);
}

/**
 * path`/nodes/${node}/qemu/${vmid}/config`: every value becomes exactly one segment, percent-encoded.
 * PVE decodes the whole path before it splits it at the slashes, so an encoded slash is a slash to it: a value with one would
 * reach another method than the one written here, and is refused.
 * Throws `invalid_input` for such values, and for empty ones, `.`, `..` and control characters.
 * PVE: pve-http-server src/PVE/APIServer/AnyEvent.pm (handle_api2_request)
 */
export function path(
  literals: TemplateStringsArray,
  ...values: readonly (string | number | Rest)[]
): ApiPath {
  let text = literals[0] ?? "";
  for (const [index, value] of values.entries()) {
    const after = literals[index + 1] ?? "";
    if (!text.endsWith("/") || (after !== "" && !after.startsWith("/"))) {
      throw new TypeError(`a value of a path must be a segment of its own: ${literals.join("{}")}`);
    }
    if (value instanceof Rest && (after !== "" || index < values.length - 1)) {
      throw new TypeError(`rest() must be the end of a path: ${literals.join("{}")}`);
    }
    text += (value instanceof Rest ? encodeRest(value.value) : encodeSegment(value)) + after;
  }
  return asPath(text);
}

/**
 * The path that an agent or a person wrote, not encoded: `/nodes/pve1/storage/local/content/local:iso/x.iso`.
 * Throws `invalid_input` where it does not start with a slash, or for segments that `path` would refuse.
 */
export function pathFrom(text: string): ApiPath {
  if (!text.startsWith("/")) throw refused(text, "it must start with a slash");
  return asPath(`/${encodeRest(text.slice(1))}`);
}

/** The node that a path names (`/nodes/{node}/…`); undefined for the paths of the whole cluster. */
export function nodeOf(apiPath: ApiPath): string | undefined {
  const node = /^\/nodes\/([^/]+)/.exec(apiPath)?.[1];
  return node === undefined ? undefined : decodeURIComponent(node);
}

/** What follows one of these words in a path names one thing of its kind. */
const placeholders: Readonly<Record<string, string>> = {
  nodes: "{node}",
  qemu: "{vmid}",
  lxc: "{vmid}",
  tasks: "{upid}",
  storage: "{storage}",
  snapshot: "{snapname}",
  pools: "{poolid}",
  users: "{userid}",
  token: "{tokenid}",
  groups: "{groupid}",
  roles: "{roleid}",
  domains: "{realm}",
  network: "{iface}",
  backup: "{id}",
  resources: "{id}",
  rules: "{pos}",
  ipset: "{name}",
  aliases: "{name}",
  services: "{service}",
};

/** The path with its names and numbers replaced, for metrics and logs: `/nodes/{node}/qemu/{vmid}/config`. */
export function templateOf(apiPath: ApiPath): string {
  const out: string[] = [];
  let before = "";
  for (const segment of apiPath.split("/")) {
    if (before === "content") {
      out.push("{volume}");
      break;
    }
    const numbered = /^\d+$/.test(segment) ? "{id}" : segment;
    out.push((Object.hasOwn(placeholders, before) && placeholders[before]) || numbered);
    before = segment;
  }
  return out.join("/");
}

function encodeRest(value: string): string {
  return value
    .split("/")
    .map((piece) => encodeSegment(piece))
    .join("/");
}

function encodeSegment(value: string | number): string {
  const text = String(value);
  const reason = whyNot(value, text);
  if (reason) throw refused(text, reason);
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function whyNot(value: string | number, text: string): string | undefined {
  if (typeof value === "number" && (!Number.isSafeInteger(value) || value < 0)) {
    return "a number in a path is whole and not negative";
  }
  if (text === "") return "it is empty";
  // A hop that decodes once more than it should must not see a step upwards or a slash either.
  if (/^(?:\.|%2e){1,2}$/i.test(text)) return "it would be a step through the path";
  if (/\/|%2f/i.test(text)) return "it holds a slash";
  if (/[\p{Cc}\p{Surrogate}]/u.test(text)) return "it holds a control character";
  return undefined;
}

function refused(text: string, reason: string): Problem {
  const shown = text.replace(/[^\x20-\x7e]/g, "?").slice(0, 80);
  return new Problem("invalid_input", `"${shown}" cannot stand in an API path: ${reason}.`, {
    next: "Give a plain name or number in its place.",
  });
}

/** The one cast: everything that gets here was checked segment by segment, or is a literal of ours. */
function asPath(text: string): ApiPath {
  return text as ApiPath;
}
