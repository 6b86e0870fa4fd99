import { apiToken } from "../../src/http/auth.ts";
import { ApiClient, type ApiClientOptions } from "../../src/http/client.ts";
import {
  type Transport,
  WireFault,
  type WireReply,
  type WireRequest,
} from "../../src/http/transport.ts";
import type { ApiRequest } from "../../src/http/wire-request.ts";
import { isProblem, type Problem } from "../../src/problem.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";

/** What a host of a test does with one request. */
export type Step = (request: WireRequest) => Promise<WireReply> | WireReply;

/** A host that follows a script, its last step for ever, and remembers what reached it. */
export class ScriptedHost implements Transport {
  readonly seen: WireRequest[] = [];
  closed = false;
  readonly #steps: readonly Step[];

  constructor(...steps: readonly Step[]) {
    this.#steps = steps;
  }

  async send(request: WireRequest): Promise<WireReply> {
    request.signal?.throwIfAborted();
    this.seen.push(request);
    const step = this.#steps[Math.min(this.seen.length, this.#steps.length) - 1];
    if (!step) throw new Error("a script without steps");
    return step(request);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

export const answers =
  (data: unknown, more: object = {}): Step =>
  () => ({ status: 200, reason: "OK", headers: {}, body: JSON.stringify({ data, ...more }) });

export const says =
  (status: number, reason: string, more: Partial<WireReply> = {}): Step =>
  () => ({ status, reason, headers: {}, body: "", ...more });

/** The connection breaks after the request has left. */
export const cuts: Step = () => {
  throw new WireFault("UND_ERR_SOCKET", "other side closed", { sent: true });
};

/** Nobody listens there. */
export const refuses: Step = () => {
  throw new WireFault("ECONNREFUSED", "connect ECONNREFUSED", { sent: false });
};

/** Takes the request and never answers; gives in to the signal as the contract says. */
export const hangs: Step = ({ signal }) =>
  new Promise((_, reject) => {
    signal?.addEventListener("abort", () => {
      const cause: unknown = signal.reason;
      reject(new WireFault("ABORT_ERR", "given up", { sent: true, cause }));
    });
  });

export const secret = "c4n4ry00-0000-4000-8000-secretsecret";

/** A client of scripted hosts on a clock that stands still. */
export function client(hosts: readonly Transport[], options: Partial<ApiClientOptions> = {}) {
  const clock = new VirtualClock();
  const api = new ApiClient({
    hosts: hosts.map((transport, index) => ({ name: `host${index + 1}`, transport })),
    auth: apiToken({ id: "agent@pve!mcp", secret }),
    clock,
    random: () => 0,
    ...options,
  });
  return {
    api,
    clock,
    ask: (request: ApiRequest) => clock.run(api.request(request)),
    /** The Problem that the request ends in. */
    fails: (request: ApiRequest) => problemOf(clock.run(api.request(request))),
  };
}

export async function problemOf(promise: Promise<unknown>): Promise<Problem> {
  try {
    await promise;
  } catch (error) {
    if (isProblem(error)) return error;
    throw error;
  }
  throw new Error("it succeeded");
}
