import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { apiToken } from "../../src/http/auth.ts";
import { ApiClient } from "../../src/http/client.ts";
import { parseBody } from "../../src/http/envelope.ts";
import { type ApiPath, path, pathFrom } from "../../src/http/path.ts";
import { explainRefusal } from "../../src/http/refusal.ts";
import { type Method, type Transport, WireFault } from "../../src/http/transport.ts";
import { Problem } from "../../src/problem.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";
import {
  dataOf,
  isRecord,
  missing,
  type Recording,
  readRecordings,
  recorded,
} from "./recording.ts";

/** `n` of the recording → the kind that its refusal, or the exit text of its task, means to us. */
const table: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(new URL("./refusals.json", import.meta.url), "utf8"),
);
const recordings = recorded ? readRecordings() : [];
/** Answers every request with what was recorded. */
function answering({ response }: Recording): Transport {
  return {
    send: async () => {
      if (response.status === 0) throw new WireFault("UND_ERR_SOCKET", "closed", { sent: true });
      const { body, status, reason, headers } = response;
      const names = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
      return { status, reason, headers: Object.fromEntries(names), body: textOf(body) };
    },
    close: async () => undefined,
  };
}

/** Some recorded paths are wrong on purpose, and the client would not send them. */
function pathOf({ request }: Recording): ApiPath {
  try {
    return pathFrom(decodeURIComponent(request.path.replace(/^\/api2\/(?:json|extjs)/, "")));
  } catch {
    return path`/version`;
  }
}

/** What the client makes of a recorded answer: its data, or what it throws. */
async function received(recording: Recording): Promise<{ data?: unknown; thrown?: unknown }> {
  const clock = new VirtualClock();
  const client = new ApiClient({
    hosts: [{ name: "pve", transport: answering(recording) }],
    auth: apiToken({ id: "agent@pve!mcp", secret: "00000000-0000-4000-8000-000000000000" }),
    clock,
    random: () => 0.5,
  });
  const method = recording.request.method as Method; // PATCH too: what counts is the answer to it
  return clock
    .run(client.request({ method, path: pathOf(recording) }))
    .then(({ data }) => ({ data }))
    .catch((thrown: unknown) => ({ thrown }));
}

/** A page or a text, which no call of ours asks for: neither data nor a refusal. */
function isOther({ response: { status, body } }: Recording): boolean {
  return status === 200 && parseBody(textOf(body)) === undefined;
}

/** For the web interface the body says whether it is one. */
function isSuccess({ response: { status, body } }: Recording): boolean {
  const content = status === 200 ? parseBody(textOf(body)) : undefined;
  return content !== undefined && content.success !== 0;
}

function textOf(body: unknown): string {
  return typeof body === "string" ? body : JSON.stringify(body);
}

/** The exit text of a failed task. */
function exitText({ response }: Recording): string | undefined {
  const data = dataOf(response.body);
  const text = isRecord(data) ? data["exitstatus"] : undefined;
  return typeof text === "string" && !/^(?:OK$|WARNINGS: )/.test(text) ? text : undefined;
}

async function kindOf(recording: Recording): Promise<string | undefined> {
  if (isOther(recording)) return undefined;
  const { thrown } = await received(recording);
  if (thrown instanceof Problem) return thrown.kind;
  if (thrown !== undefined) return `no problem but ${String(thrown)}`;
  const text = exitText(recording);
  return text === undefined ? undefined : (explainRefusal(text)?.kind ?? "task_failed");
}

async function kinds(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const recording of recordings) {
    const kind = await kindOf(recording);
    if (kind !== undefined) found[recording.n] = kind;
  }
  return found;
}

describe.skipIf(!recorded)(
  `what a real host refuses${recorded ? "" : ` (skipped: ${missing})`}`,
  () => {
    test("has the kind of the table, and nearly always a better one than `upstream`", async () => {
      const found = await kinds();
      expect(found).toEqual(table);
      const upstream = Object.values(found).filter((kind) => kind === "upstream");
      expect(upstream.length).toBeLessThanOrEqual(5);
    });

    test("nothing but problems is thrown, and nothing empty is a success", async () => {
      const wrong: unknown[] = [];
      let refusals = 0;
      const others = recordings.filter(isOther).map(({ n }) => n);
      for (const recording of recordings) {
        const { data, thrown } = await received(recording);
        const fine =
          thrown === undefined
            ? isSuccess(recording) && data !== undefined
            : thrown instanceof Problem && thrown.kind !== "bug" && !isSuccess(recording);
        if (!fine) wrong.push({ n: recording.n, data, thrown });
        if (thrown !== undefined) refusals++;
      }
      process.stdout.write(
        `recordings: all ${recordings.length} through the client, ${refusals} of them problems, of which ${others.length} are no refusals but no JSON either (n ${others.join(", ")})\n`,
      );
      expect(wrong).toEqual([]);
      expect(recordings.length).toBeGreaterThanOrEqual(533);
    });

    test.each([
      ["a missing guest, told to the web interface", 51, "not_found", { vmid: 9999 }],
      ["a connection that was closed without an answer", 532, "outcome_unknown", {}],
      ["a missing guest", 29, "not_found", { vmid: 9999, type: "qemu" }],
      ["a missing container", 377, "not_found", { vmid: 9999, type: "lxc" }],
      ["a locked guest", 199, "locked", { lock: "backup" }],
      ["a guest whose lock file is taken", 490, "busy", {}],
      ["a stale digest", 114, "conflict", { digest: true }],
      ["an unknown node", 46, "not_found", { node: "nosuchnode" }],
      ["an unknown target node", 222, "not_found", { node: "nosuch" }],
      ["an unreachable node", 49, "unreachable", { node: "ghost" }],
      ["an unknown pool", 102, "not_found", { pool: "nope" }],
      ["a pool that is gone", 338, "not_found", { pool: "p2" }],
      ["an unknown storage", 262, "not_found", { storage: "nope" }],
      ["an unknown volume", 265, "not_found", { volume: "local:iso/nope.iso" }],
      ["a name that can't be one", 47, "invalid_input", {}],
      ["a right of two that is missing", 220, "forbidden", { privileges: ["VM.Allocate"] }],
    ])("%s is named as what it is", async (_, n, kind, facts) => {
      const recording = recordings.find((one) => one.n === n);
      expect(recording && (await received(recording)).thrown).toMatchObject({ kind, facts });
    });
  },
);
