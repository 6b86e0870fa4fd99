import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { type BodyStream, type Method, WireFault, type WireReply } from "../http/transport.ts";
import { installedWith, type Pems, present } from "./certificates.ts";
import type { Simulator } from "./simulator.ts";

export interface ListenOptions {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
  /** Without it a free one. */
  readonly port?: number;
  readonly host?: string;
  /** The node that this is: `key` and `cert` become its own, and what the API does to its certificates is shown. */
  readonly node?: string;
  /** How long an idle connection stays open; a host closes it after 5 s. */
  readonly idleMs?: number;
}

export interface Listener {
  /** `https://127.0.0.1:8006`, no slash at the end. */
  readonly url: string;
  readonly port: number;
  /** How many TLS connections were opened so far. */
  readonly connections: number;
  /** Ends all connections, as a restart of pveproxy does; new ones are taken. */
  hangUp(): void;
  close(): Promise<void>;
}

/** A connection serves this many requests (PVE::APIServer::AnyEvent). */
const requestsPerConnection = 100;
const methods: readonly string[] = ["GET", "POST", "PUT", "DELETE"];

/** Serves a simulator over HTTPS, framed as pve-http-server frames it. The only place with real sockets and timers. */
export async function listen(simulator: Simulator, options: ListenOptions): Promise<Listener> {
  const { key, cert, port = 0, host = "127.0.0.1", idleMs = 5000 } = options;
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer({ key, cert, keepAliveTimeout: idleMs }, (request, response) => {
    void serve(simulator, request, response); // it answers its own failures
  });
  server.maxRequestsPerSocket = requestsPerConnection;
  if (options.node !== undefined) showCertificates(server, simulator, options.node, { key, cert });
  server.on("secureConnection", (socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => undefined); // a client that goes away is none of our business
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const hangUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `https://${host}:${bound}`,
    port: bound,
    get connections() {
      return connections;
    },
    hangUp,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        hangUp();
      }),
  };
}

/** Each new connection sees what the node's pveproxy would show it; a restart ends the connections that are idle. */
function showCertificates(server: Server, simulator: Simulator, node: string, own: Pems): void {
  const at = simulator.world.nodes.get(node);
  if (!at) throw new Error(`no node ${node}`);
  at.certificates = installedWith(own);
  const { certificates } = at;
  let { restarts } = certificates;
  server.prependListener("connection", (socket: Socket) => {
    const shown = present(simulator.world.nodes.get(node)?.certificates ?? certificates);
    if (shown) server.setSecureContext({ key: shown.key, cert: shown.cert });
    else socket.destroy();
  });
  server.on("request", (_request, response: ServerResponse) => {
    response.on("finish", () => {
      if (restarts === certificates.restarts) return;
      restarts = certificates.restarts;
      server.closeIdleConnections();
    });
  });
}

async function serve(
  simulator: Simulator,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) gone.abort(new Error("the client went away"));
  });
  try {
    const refused = refuseFraming(request);
    const reply = refused ?? (await forward(simulator, request, gone.signal));
    write(request, response, reply);
  } catch (error) {
    if (!(error instanceof WireFault) && !gone.signal.aborted) {
      write(request, response, plain(500, String(error)));
      return;
    }
    request.socket.destroy();
  }
}

/** What the HTTP server refuses before it looks at the path. */
function refuseFraming(request: IncomingMessage): WireReply | undefined {
  const { method = "GET", headers } = request;
  if (!methods.includes(method)) return plain(501, `method '${method}' not available`);
  if (headers["transfer-encoding"] !== undefined) {
    return plain(501, "chunked transfer encoding not supported");
  }
  return undefined;
}

async function forward(
  simulator: Simulator,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<WireReply> {
  const type = request.headers["content-type"] ?? "";
  // Too large to be held: it is read while it comes.
  const stream = type.startsWith("multipart/") ? streamOf(request) : undefined;
  const body = stream ? "" : await readBody(request);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return simulator.send({
    method: methodOf(request),
    path: request.url ?? "/",
    headers,
    signal,
    ...(body === "" ? {} : { body }),
    ...(stream && { stream }),
  });
}

function streamOf(request: IncomingMessage): BodyStream {
  return { length: Number(request.headers["content-length"] ?? 0), open: () => request };
}

function methodOf({ method }: IncomingMessage): Method {
  return method === "POST" || method === "PUT" || method === "DELETE" ? method : "GET";
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}

function plain(status: number, reason: string): WireReply {
  return { status, reason, headers: { connection: "close" }, body: "" };
}

/** One write for head and body; gzip when asked for and worth it; closed after anything that is no success. */
function write(request: IncomingMessage, response: ServerResponse, reply: WireReply): void {
  if (response.destroyed || response.headersSent) return;
  const { connection: _, ...headers } = reply.headers;
  const text = Buffer.from(reply.body);
  const zip =
    text.length > 1024 && /\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""));
  const body = zip ? gzipSync(text) : text;
  response.writeHead(reply.status, ascii(reply.reason) || " ", {
    ...headers,
    ...(zip ? { "content-encoding": "gzip" } : {}),
    ...(reply.status >= 400 ? { connection: "close" } : {}),
    "content-length": String(body.length),
  });
  response.end(body);
}

/** A status line takes no other characters. */
function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
