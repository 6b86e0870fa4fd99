import { Readable } from "node:stream";
// `undici/index.js`, not `undici`: under Bun the bare name is a stub of Bun's own, which ignores the connector and with it TLS.
import { type Dispatcher, Pool } from "undici/index.js";
import { decodeBody } from "./decode.ts";
import { type Transport, WireFault, type WireReply, type WireRequest } from "./transport.ts";
import { connectTrusted, fingerprintOf, LearningTrust, shownBy, type Trust } from "./trust.ts";

export interface UndiciTransportOptions {
  /** `https://host:port`; what follows the port is ignored. */
  readonly url: string;
  readonly tls: Trust;
  /** For name lookup, TCP and TLS together; 5 s unless given. */
  readonly connectTimeoutMs?: number;
  /** How long an unused connection is kept; 4 s unless given, for pveproxy closes its end after 5 s. */
  readonly keepAliveMs?: number;
}

/** Larger than any list of a large cluster; whoever sends more is no Proxmox host. */
const maxBodyBytes = 64 * 1024 * 1024;

/**
 * HTTPS to one host over kept connections. Head and body leave in one write (pveproxy may drop a body that comes in a later TLS
 * record), but for a stream, of which no more than a piece is ever held; redirects are answers like any other, and there is no time limit but the signal's.
 * Throws `invalid_input` for a fingerprint that is none.
 */
export function undiciTransport(options: UndiciTransportOptions): Transport {
  const { tls, connectTimeoutMs = 5_000, keepAliveMs = 4_000 } = options;
  const url = new URL(options.url);
  const addressOf = (hostname: string, port: string) => ({ hostname, port: Number(port || 443) });
  const own = addressOf(url.hostname.replace(/^\[|\]$/g, ""), url.port);
  const trust = new LearningTrust(tls, () => shownBy(own, connectTimeoutMs));
  const pool = new Pool(url.origin, {
    connections: 8,
    pipelining: 1,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: ({ hostname, port }, callback) => {
      connectTrusted(addressOf(hostname, port), trust, connectTimeoutMs).then(
        (socket) => {
          trust.seen = fingerprintOf(socket);
          callback(null, socket);
        },
        (error: Error) => callback(error, null),
      );
    },
  });
  return {
    send: async (request) => {
      request.signal?.throwIfAborted();
      const answer = await new Promise<Answer>((resolve, reject) => {
        const exchange = new Exchange(request.signal, { resolve, reject });
        pool.dispatch(dispatchOptions(request), exchange);
      });
      await reusable();
      return decoded(answer);
    },
    close: () => pool.destroy(),
    trust,
  };
}

/**
 * undici frees a connection one turn of the event loop after its answer; who asks again before that pays for a new one.
 * The first turn lets undici's own begin, the second comes after it.
 */
async function reusable(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The length of a stream is told before it, for pveproxy takes no chunked bodies; undici holds the stream to it. */
function dispatchOptions(request: WireRequest): Dispatcher.DispatchOptions {
  const { method, path, body, stream } = request;
  const headers = { "accept-encoding": "gzip", ...request.headers };
  if (!stream) return { method, path, headers, body: body ?? null };
  return {
    method,
    path,
    headers: { ...headers, "content-length": String(stream.length) },
    body: Readable.from(stream.open(), { highWaterMark: 1 }),
  };
}

/** A complete answer whose body is still encoded. */
interface Answer extends Omit<WireReply, "body"> {
  readonly body: Buffer;
}

async function decoded({ body, ...head }: Answer): Promise<WireReply> {
  const encoding = head.headers["content-encoding"];
  try {
    return { ...head, body: await decodeBody(body, encoding, maxBodyBytes) };
  } catch (cause) {
    throw new WireFault("BODY_DECODE", "the answer's body cannot be decoded", {
      sent: true,
      cause,
    });
  }
}

interface Settle {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/** One request on its way. undici calls `onRequestStart` right before it writes; what failed by then never left. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal | undefined;
  readonly #settle: Settle;
  readonly #chunks: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #size = 0;
  #head: Omit<Answer, "body"> = { status: 0, reason: "", headers: {} };

  constructor(signal: AbortSignal | undefined, settle: Settle) {
    this.#signal = signal;
    this.#settle = settle;
    signal?.addEventListener("abort", this.#giveUp, { once: true });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#signal?.aborted) controller.abort(asError(this.#signal.reason));
    else this.#controller = controller;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    reason = "",
  ): void {
    if (status >= 200) this.#head = { status, reason, headers: flat(headers) };
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#size += chunk.length;
    this.#chunks.push(chunk);
    if (this.#size <= maxBodyBytes) return;
    controller.abort(
      new WireFault("BODY_TOO_LARGE", `the answer is larger than ${maxBodyBytes} bytes`, {
        sent: true,
      }),
    );
  }

  onResponseEnd(): void {
    this.#end();
    this.#settle.resolve({ ...this.#head, body: Buffer.concat(this.#chunks) });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end();
    this.#settle.reject(this.#fault(error));
  }

  readonly #giveUp = () => {
    const reason: unknown = this.#signal?.reason;
    if (this.#controller) this.#controller.abort(asError(reason));
    // Still queued or connecting: undici lets go of it when its turn comes, see onRequestStart.
    else this.#settle.reject(reason);
  };

  #fault(error: NodeJS.ErrnoException): unknown {
    const sent = this.#controller !== undefined;
    if (this.#signal?.aborted) {
      const cause: unknown = this.#signal.reason;
      return sent ? new WireFault("ABORT_ERR", "given up after sending", { sent, cause }) : cause;
    }
    if (error instanceof WireFault && error.sent === sent) return error;
    return new WireFault(error.code ?? error.name, error.message, { sent, cause: error });
  }

  #end(): void {
    this.#signal?.removeEventListener("abort", this.#giveUp);
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}

function flat(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string> {
  const entries = Object.entries(headers).map(([key, value]) => [key, String(value ?? "")]);
  return Object.fromEntries(entries);
}
