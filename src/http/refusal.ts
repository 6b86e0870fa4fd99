import { type Facts, Problem, type ProblemKind } from "../problem.ts";
import { discreet } from "../text.ts";
import { isObject, parseBody } from "./envelope.ts";
import { forbidden, forbiddenUnnamed, parseMissing } from "./permission.ts";
import { refusalTable } from "./refusal-table.ts";
import type { WireReply } from "./transport.ts";

/** What a text of PVE's means. */
export interface Explained {
  readonly kind: ProblemKind;
  readonly next?: string;
  readonly facts: Facts;
}

/** Whose request was refused, for the words of the problem. */
export interface Refused {
  /** `GET /nodes/pve1/qemu/101/config` */
  readonly what: string;
  /** `user@realm!name` */
  readonly principal: string;
  /** Takes secrets out of what PVE echoes. */
  readonly scrub: (text: string) => string;
  /** What to do about a 401, where the credentials know better than this floor. */
  readonly advice?: () => string | undefined;
}

/** What a refusal or a failed task's exit text means; undefined for texts that no row knows. */
export function explainRefusal(text: string): Explained | undefined {
  for (const row of refusalTable) {
    const match = row.pattern.exec(text);
    if (!match) continue;
    return { kind: row.kind, facts: row.facts?.(match) ?? {}, ...(row.next && { next: row.next }) };
  }
  return undefined;
}

/** One line of somebody else's text: no ANSI, control, invisible or bidi characters, no keys in addresses, at most 500 characters. */
export function cleanText(text: string): string {
  const visible = text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
    .replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)/g, "")
    .replace(/\s+/gu, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "")
    .trim();
  const plain = discreet(visible);
  const points = Array.from(plain);
  return points.length <= 500 ? plain : `${points.slice(0, 499).join("")}…`;
}

/** The first line of what PVE says: `message` of the body, else the reason phrase (PVE before 8.3 has no other). */
export function refusalText(reply: WireReply): string {
  const message = parseBody(reply.body)?.message;
  const text = typeof message === "string" && message.trim() !== "" ? message : reply.reason;
  return cleanText(text.trimStart().split("\n")[0] ?? "");
}

/**
 * A complete answer with a status of 3xx or more (but not 59x) as a Problem of the kind that its text or its status means;
 * `upstream` where neither says anything. PVE: pve-http-server src/PVE/APIServer/AnyEvent.pm, src/PVE/APIServer/Formatter/Standard.pm
 */
export function refusal(reply: WireReply, refused: Refused): Problem {
  const text = refused.scrub(refusalText(reply));
  switch (reply.status) {
    case 400:
      return badParameters(reply, text, refused);
    case 401:
      return unauthorized(text, refused);
    case 403:
      return denied(reply, text, refused);
    case 501:
      if (text.includes("too large")) return tooMuch(reply, text, refused);
      return noSuchCall(reply, text, refused);
    case 404:
    case 405:
      return noSuchCall(reply, text, refused);
    case 413:
      return tooMuch(reply, text, refused);
    case 506:
      return problem("invalid_input", reply, text, refused, {
        next: "Send the parameters as a form: this kind of body is not taken.",
      });
    case 429:
      return problem("busy", reply, text, refused, { next: "Try again in a while." });
    default:
      return byText(reply, text, refused);
  }
}

function noSuchCall(reply: WireReply, text: string, refused: Refused): Problem {
  return problem("unsupported", reply, text, refused, {
    next: "Check path and method with search_api: this version of Proxmox has no such call.",
  });
}

function tooMuch(reply: WireReply, text: string, refused: Refused): Problem {
  return problem("invalid_input", reply, text, refused, {
    next: "Send less, or in smaller parts.",
  });
}

/** PVE: pve-common src/PVE/Exception.pm (raise_param_exc), src/PVE/JSONSchema.pm (validate) */
function badParameters(reply: WireReply, text: string, refused: Refused): Problem {
  const errors = parameterErrors(reply, refused);
  const [only, ...others] = Object.values(errors);
  const explained = others.length === 0 && only !== undefined ? explainRefusal(only) : undefined;
  const listed = Object.entries(errors).map(([name, error]) => `${name}: ${error}`);
  const said = listed.length === 0 ? text : listed.join("; ");
  return problem(explained?.kind ?? "invalid_input", reply, said, refused, {
    next: explained?.next ?? "Correct the parameters that are named.",
    facts: { ...explained?.facts, errors },
  });
}

function parameterErrors(reply: WireReply, refused: Refused): Record<string, string> {
  const errors = parseBody(reply.body)?.errors;
  if (!isObject(errors)) return {};
  return Object.fromEntries(
    Object.entries(errors).map(([name, error]) => [
      cleanText(name),
      refused.scrub(cleanText(String(error))),
    ]),
  );
}

/** PVE says the same for a wrong secret, an expired token and a disabled user. PVE: pve-access-control src/PVE/AccessControl.pm */
function unauthorized(text: string, refused: Refused): Problem {
  const plain = refused.principal.includes("!")
    ? "Check that the token id and its secret are right, that the token has not expired and that its user is enabled (pveum user token list)."
    : "Check user name, realm and password, and that the user is enabled and has not expired.";
  return new Problem(
    "unauthorized",
    `Proxmox does not accept ${refused.principal}.${clause(text)}`,
    { next: refused.advice?.() ?? plain, facts: { principal: refused.principal } },
  );
}

/** PVE: pve-access-control src/PVE/RPCEnvironment.pm; pve-http-server src/PVE/APIServer/AnyEvent.pm */
function denied(reply: WireReply, text: string, refused: Refused): Problem {
  const missing = parseMissing(text);
  if (missing?.path === "") return unnamable(reply, text, refused);
  if (missing) return forbidden(text, missing, refused.principal, refused.what);
  const explained = explainRefusal(text);
  if (explained?.kind === "not_found") {
    return problem("not_found", reply, text, refused, explained);
  }
  const bare = /^Permission check failed$/.test(text);
  const known = bare && forbiddenUnnamed(text, refused.principal, refused.what);
  if (known) return known;
  const next = text.includes("not available with API token")
    ? "Tokens may not do this: connect with PROXMOX_USERNAME and PROXMOX_PASSWORD, or do it in the web interface."
    : "Compare what this call needs (search_api) with what the credentials may do (get_connection_status).";
  return new Problem("forbidden", `Proxmox does not allow ${refused.what}.${clause(text)}`, {
    next: explained?.next ?? next,
    facts: explained?.facts ?? {},
  });
}

/** PVE looks for rights before it looks at parameters, and has no place to look at for a name like that. */
function unnamable(reply: WireReply, text: string, refused: Refused): Problem {
  return problem("invalid_input", reply, text, refused, {
    next: "A name in this request is none that Proxmox takes: letters, digits, hyphens, dots and underscores.",
  });
}

function byText(reply: WireReply, text: string, refused: Refused): Problem {
  const explained = explainRefusal(text);
  if (explained) return problem(explained.kind, reply, text, refused, explained);
  if (reply.status < 400) {
    return problem("upstream", reply, text, refused, {
      next: "Something else than Proxmox answers there: check PROXMOX_URL (https, port 8006).",
    });
  }
  return problem("upstream", reply, text, refused, {
    next: "What Proxmox says is all that is known; get_tasks and the journal of the node may tell more.",
  });
}

function problem(
  kind: ProblemKind,
  reply: WireReply,
  text: string,
  refused: Refused,
  more: { readonly next?: string; readonly facts?: Facts },
): Problem {
  return new Problem(kind, `Proxmox refused ${refused.what} (${reply.status}).${clause(text)}`, {
    facts: { status: reply.status, ...more.facts },
    ...(more.next && { next: more.next }),
  });
}

/** What others say stands in a sentence of its own, so that it is not mistaken for ours. */
function clause(text: string): string {
  return text === "" ? "" : ` Proxmox says: ${/[.!?…]$/.test(text) ? text : `${text}.`}`;
}
