import { type Facts, Problem } from "../problem.ts";
import { type Refused, refusal, refusalText } from "./refusal.ts";
import { isTrustFault, type Outcome } from "./retry.ts";
import type { Method, WireFault, WireReply } from "./transport.ts";

/** A request in the words of its problems. */
export interface Failed extends Refused {
  readonly method: Method;
  readonly node: string | undefined;
  /** The host in use. */
  readonly host: string;
  /** All hosts of the connection: what could not be sent was tried on each. */
  readonly hosts: readonly string[];
}

/** The Problem that an attempt without success ends in, once it is not repeated any more. */
export function failure(outcome: Exclude<Outcome, { kind: "answer" }>, failed: Failed): Problem {
  return outcome.kind === "fault" ? broken(outcome.fault, failed) : refused(outcome.reply, failed);
}

/** The caller gave up, or the time was over. `left`: the request may have reached PVE. */
export function givenUp(
  failed: Failed,
  how: {
    readonly left: boolean;
    /** The time that was over, in ms; undefined: the caller gave up. */
    readonly expiredMs: number | undefined;
    readonly cause: unknown;
  },
): Problem {
  const { left, expiredMs, cause } = how;
  const seconds = Math.round((expiredMs ?? 0) / 100) / 10;
  if (left && failed.method !== "GET") {
    const why =
      expiredMs !== undefined
        ? `no answer came within ${seconds} s`
        : "the wait for its answer was cancelled";
    return outcomeUnknown(failed, why, cause);
  }
  const sent = left ? "" : " Nothing was sent.";
  if (expiredMs === undefined) {
    return new Problem("cancelled", `${failed.what} was cancelled.${sent}`, {
      facts: facts(failed),
      cause,
    });
  }
  return new Problem(
    "timeout",
    `${failed.what} was not answered by ${failed.host} within ${seconds} s.${sent}`,
    {
      next: "Try again; if it stays so, look at the load of the host.",
      facts: facts(failed),
      cause,
    },
  );
}

function broken(fault: WireFault, failed: Failed): Problem {
  const said = failed.scrub(fault.message);
  if (isTrustFault(fault)) {
    return new Problem("unreachable", said, {
      retryable: false,
      facts: facts(failed),
      cause: fault,
    });
  }
  if (failed.method !== "GET" && fault.sent) {
    return outcomeUnknown(
      failed,
      `the connection broke before the answer came (${fault.code})`,
      fault,
    );
  }
  const where = fault.sent
    ? `The connection to ${failed.host} broke (${fault.code})`
    : `${failed.hosts.join(", ")} cannot be reached (${fault.code}), nothing was sent`;
  return new Problem(
    "unreachable",
    `${where}: ${failed.what} was not answered. The reason given: ${said}`,
    {
      next: "Check that the host is up and that PROXMOX_URL names it and its port (8006).",
      facts: facts(failed),
      cause: fault,
    },
  );
}

function refused(reply: WireReply, failed: Failed): Problem {
  const { status } = reply;
  if (status >= 200 && status <= 299) return unreadable(reply, failed);
  if (status === 595) return nodeUnreachable(reply, failed);
  if (status >= 596 && status <= 599) return brokenBehind(reply, failed);
  if ([502, 503, 504].includes(status)) return gateway(reply, failed);
  return refusal(reply, failed);
}

/** An answer that says 2xx and holds no `data` is no success: whoever wrote it was not PVE, or was cut off. */
function unreadable(reply: WireReply, failed: Failed): Problem {
  const shape = reply.body === "" ? "an empty body" : "a body that is not its JSON";
  if (failed.method !== "GET") return outcomeUnknown(failed, `the answer had ${shape}`, undefined);
  return new Problem(
    "upstream",
    `${failed.host} answered ${failed.what} with ${shape} (${reply.status}).`,
    {
      next: "Check that PROXMOX_URL names a Proxmox host itself and no proxy or login page before it.",
      facts: { ...facts(failed), status: reply.status },
    },
  );
}

/** The host could not connect to the node, so nothing happened there. PVE: AnyEvent.pm (proxy_request), codes of AnyEvent::HTTP */
function nodeUnreachable(reply: WireReply, failed: Failed): Problem {
  const node = failed.node === undefined ? "A node" : `Node ${failed.node}`;
  return new Problem(
    "unreachable",
    `${node} cannot be reached from ${failed.host}: ${failed.what} was not carried out. Proxmox says: ${said(reply, failed)}`,
    {
      next: "See with get_cluster whether the node is online.",
      facts: { ...facts(failed), status: 595 },
    },
  );
}

/** The hop to the node or to the local daemon broke, or took more than 30 s; the work may go on. */
function brokenBehind(reply: WireReply, failed: Failed): Problem {
  const text = said(reply, failed);
  if (failed.method !== "GET") {
    return outcomeUnknown(
      failed,
      `Proxmox lost its own connection to the node (${reply.status} ${text})`,
      undefined,
    );
  }
  const slow = /timed? ?out/i.test(text);
  return new Problem(
    slow ? "timeout" : "unreachable",
    `${failed.host} got no complete answer to ${failed.what} from the node (${reply.status}). Proxmox says: ${text}`,
    {
      next: "Try again in a few seconds; see with get_cluster whether the node is online.",
      facts: { ...facts(failed), status: reply.status },
    },
  );
}

function gateway(reply: WireReply, failed: Failed): Problem {
  if (failed.method !== "GET") {
    return outcomeUnknown(failed, `something before Proxmox answered ${reply.status}`, undefined);
  }
  return new Problem(
    "unreachable",
    `${failed.what} was answered with ${reply.status} by something before Proxmox.`,
    {
      next: "Try again in a while; check the proxy that PROXMOX_URL leads to.",
      facts: { ...facts(failed), status: reply.status },
    },
  );
}

function outcomeUnknown(failed: Failed, why: string, cause: unknown): Problem {
  return new Problem(
    "outcome_unknown",
    `${failed.what} was sent, but whether it was carried out is unknown: ${why}. It may have been done, be under way, or not have begun.`,
    {
      next: "Do not repeat it yet: look with get_tasks (by guest or node) and get_vm or get_container what has happened.",
      facts: facts(failed),
      cause,
    },
  );
}

function said(reply: WireReply, failed: Failed): string {
  return failed.scrub(refusalText(reply)) || "nothing";
}

function facts(failed: Failed): Facts {
  return {
    host: failed.host,
    request: failed.what,
    ...(failed.node !== undefined && { node: failed.node }),
  };
}
