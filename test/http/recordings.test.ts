import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readEnvelope } from "../../src/http/envelope.ts";
import { failure } from "../../src/http/failure.ts";
import type { WireReply } from "../../src/http/transport.ts";

/** Exchanges with a real host, kept beside the repository where there are any. */
const recordings = new URL("../../../shared/pve/recordings.jsonl", import.meta.url);

interface Recorded {
  readonly request: { readonly method: "GET" };
  readonly response: {
    readonly status: number;
    readonly reason: string;
    readonly body: unknown;
  };
}

function wireReply({ status, reason, body }: Recorded["response"]): WireReply {
  return {
    status,
    reason,
    headers: {},
    body: typeof body === "string" ? body : JSON.stringify(body ?? ""),
  };
}

const absent = !existsSync(recordings);

test.skipIf(absent)(
  `every recorded refusal has a meaning${absent ? " (skipped: no recordings beside the repository)" : ""}`,
  () => {
    const lines = readFileSync(recordings, "utf8").trim().split("\n");
    const refusals = lines
      .map((line): Recorded => JSON.parse(line))
      .filter(({ response }) => response.status >= 300);
    const kinds = refusals.map(({ request, response }) => {
      const reply = wireReply(response);
      expect(readEnvelope(reply)).toBeUndefined();
      const problem = failure(
        { kind: "refusal", reply, tookMs: 10 },
        {
          method: request.method,
          what: `${request.method} /x`,
          node: "pve",
          host: "pve",
          hosts: ["pve"],
          principal: "agent@pve!mcp",
          scrub: (text) => text,
        },
      );
      return { kind: problem.kind, text: problem.message };
    });
    expect(refusals.length).toBeGreaterThan(100);
    const unknown = kinds.filter(({ kind }) => kind === "upstream").map(({ text }) => text);
    expect(unknown.length, unknown.join("\n")).toBeLessThanOrEqual(5);
  },
);
