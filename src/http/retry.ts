import { type ApiReply, asRefusal, readEnvelope } from "./envelope.ts";
import type { Method, WireFault, WireReply } from "./transport.ts";

/** How one attempt ended. */
export type Outcome =
  | { readonly kind: "answer"; readonly answer: ApiReply; readonly reply: WireReply }
  /** A complete answer that is no success: a refusal, or one that cannot be read. */
  | { readonly kind: "refusal"; readonly reply: WireReply; readonly tookMs: number }
  | { readonly kind: "fault"; readonly fault: WireFault };

/** A complete answer, as what it is. */
export function classify(reply: WireReply, tookMs: number): Outcome {
  const answer = readEnvelope(reply);
  return answer
    ? { kind: "answer", answer, reply }
    : { kind: "refusal", reply: asRefusal(reply), tookMs };
}

/** What the decision depends on besides the outcome. */
export interface RetryFacts {
  readonly method: Method;
  /** The node that the path names. */
  readonly node: string | undefined;
  /** Attempts made, this one included. */
  readonly attempt: number;
  readonly remainingMs: number;
  /** ms since the epoch, to read a Retry-After that is a date. */
  readonly now: number;
  /** 0..1 */
  readonly random: number;
  readonly isOffline: (node: string) => boolean;
}

const maxTries = 5;
/** A proxy error that comes later than this had a slow host behind it, which the same request would only burden again. */
const quickMs = 5_000;
const firstDelayMs = 250;
const longestDelayMs = 8_000;

/**
 * Milliseconds to wait before the same request is sent again; undefined: never.
 * Pure. A method other than GET is repeated only if it provably did not leave this process, a GET only where the fault may pass.
 * What cannot end before the deadline is not begun, so that the caller learns the real reason instead of a timeout.
 */
export function retryDecision(facts: RetryFacts, outcome: Outcome): number | undefined {
  if (facts.attempt >= maxTries || !mayPass(facts, outcome)) return undefined;
  const asked = outcome.kind === "refusal" ? retryAfterMs(outcome.reply, facts.now) : undefined;
  const delayMs = asked ?? backoffMs(facts.attempt, facts.random);
  return delayMs < facts.remainingMs ? delayMs : undefined;
}

/** 250 ms, 500 ms, 1 s … 8 s, each shortened by up to half at random so that callers do not march in step. */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(longestDelayMs, firstDelayMs * 2 ** (attempt - 1));
  return Math.round(full * (1 - random / 2));
}

/** Certificates do not become right by asking again, and asking again under attack is asking for it. */
export function isTrustFault(fault: WireFault): boolean {
  return /^(?:CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_(?:CA|PURPOSE))/.test(
    fault.code,
  );
}

function mayPass(facts: RetryFacts, outcome: Outcome): boolean {
  switch (outcome.kind) {
    case "answer":
      return false;
    case "fault":
      if (isTrustFault(outcome.fault)) return false;
      return facts.method === "GET" || !outcome.fault.sent;
    case "refusal":
      return facts.method === "GET" && statusMayPass(facts, outcome.reply.status, outcome.tookMs);
  }
}

/** 59x are AnyEvent::HTTP's: 595 could not connect, 596 to 599 broke later (PVE: AnyEvent.pm, proxy_request). */
function statusMayPass(facts: RetryFacts, status: number, tookMs: number): boolean {
  if (status >= 200 && status <= 299) return true; // an answer that could not be read
  if ([429, 502, 503, 504].includes(status)) return true;
  if (status === 595) return facts.node === undefined || !facts.isOffline(facts.node);
  return [596, 597, 599].includes(status) && facts.attempt === 1 && tookMs <= quickMs;
}

function retryAfterMs(reply: WireReply, now: number): number | undefined {
  const text = reply.headers["retry-after"]?.trim();
  if (!text) return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
