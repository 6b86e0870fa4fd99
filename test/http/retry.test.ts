import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffMs, type Outcome, type RetryFacts, retryDecision } from "../../src/http/retry.ts";
import { WireFault } from "../../src/http/transport.ts";

const facts: RetryFacts = {
  method: "GET",
  node: "pve1",
  attempt: 1,
  remainingMs: 60_000,
  now: Date.UTC(2026, 0, 1),
  random: 0,
  isOffline: () => false,
};
const reply = (status: number, tookMs = 10, headers: Record<string, string> = {}): Outcome => ({
  kind: "refusal",
  reply: { status, reason: "", headers, body: "" },
  tookMs,
});
const fault = (sent: boolean, code = "ECONNRESET"): Outcome => ({
  kind: "fault",
  fault: new WireFault(code, "", { sent }),
});
const again = (outcome: Outcome, more: Partial<RetryFacts> = {}) =>
  retryDecision({ ...facts, ...more }, outcome);

describe("a read is repeated", () => {
  test.each([429, 502, 503, 504, 595, 596, 599, 200])("after status %i", (status) => {
    expect(again(reply(status))).toBe(250);
  });

  test.each([400, 401, 403, 404, 500, 501, 301])("but not after status %i", (status) => {
    expect(again(reply(status))).toBeUndefined();
  });

  test("after a broken connection, five times in all, with growing pauses", () => {
    const pauses = [1, 2, 3, 4, 5].map((attempt) => again(fault(true), { attempt }));
    expect(pauses).toEqual([250, 500, 1000, 2000, undefined]);
  });

  test("not after 595 from a node that is known to be offline", () => {
    expect(again(reply(595), { isOffline: (node) => node === "pve1" })).toBeUndefined();
  });

  test.each([596, 599])("once after a %i, and only if it came quickly", (status) => {
    expect(again(reply(status, 5_000))).toBe(250);
    expect(again(reply(status, 5_001))).toBeUndefined();
    expect(again(reply(status), { attempt: 2 })).toBeUndefined();
  });

  test("when Retry-After says so, in seconds or as a date, and not if that is past the deadline", () => {
    expect(again(reply(429, 1, { "retry-after": "7" }))).toBe(7_000);
    expect(again(reply(503, 1, { "retry-after": "Thu, 01 Jan 2026 00:00:09 GMT" }))).toBe(9_000);
    expect(again(reply(429, 1, { "retry-after": "soon" }))).toBe(250);
    expect(again(reply(429, 1, { "retry-after": "61" }))).toBeUndefined();
  });

  test("never after a certificate that is not trusted", () => {
    const codes = [
      "CERT_NOT_TRUSTED",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "ERR_TLS_CERT_ALTNAME_INVALID",
    ];
    expect(codes.map((code) => again(fault(false, code)))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

test("a change is repeated only where it provably never left", () => {
  const method = fc.constantFrom("POST", "PUT", "DELETE");
  const status = fc.constantFrom(200, 400, 401, 429, 500, 502, 503, 504, 595, 596, 597, 599);
  fc.assert(
    fc.property(method, status, fc.boolean(), (one, code, sent) => {
      expect(again(reply(code), { method: one })).toBeUndefined();
      expect(again(fault(sent), { method: one }) !== undefined).toBe(!sent);
    }),
  );
});

test("a pause is between half and all of its step, and eight seconds at most", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (n, random) => {
        const full = Math.min(8_000, 250 * 2 ** (n - 1));
        expect(backoffMs(n, random)).toBeLessThanOrEqual(full);
        expect(backoffMs(n, random)).toBeGreaterThanOrEqual(full / 2);
      },
    ),
  );
});
