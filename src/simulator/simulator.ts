import type { Clock } from "../clock.ts";
import {
  type BodyStream,
  type Transport,
  WireFault,
  type WireReply,
  type WireRequest,
} from "../http/transport.ts";
import { Cluster } from "./cluster.ts";
import { demoWorld } from "./demo.ts";
import { type Fault, Faults } from "./faults.ts";
import { answer } from "./host.ts";
import { Outside } from "./outside.ts";
import { seededRandom } from "./random.ts";
import { type Given, parseForm, parseRequest } from "./request.ts";
import { LoggedRequest, RequestLog } from "./request-log.ts";
import type { Version } from "./roles.ts";
import { RouteTable } from "./route.ts";
import { allRoutes } from "./routes/all.ts";
import { type Received, receive } from "./upload-body.ts";
import type { World } from "./world.ts";

export interface SimulatorOptions {
  readonly clock: Clock;
  /** Without it the demo cluster. */
  readonly world?: World;
  /** 0..1; without it a seeded source that is the same every time. */
  readonly random?: () => number;
  readonly version?: Version;
  /** From sending to the host's look at the request; 0 needs no clock to be moved. */
  readonly latencyMs?: number;
  /** How many workers answer in turn from their own copy of the figures, up to 2 s old; 0 (the default) has no copies. */
  readonly workers?: number;
  /** How many requests the log keeps; all without it. A long-running demo should set it. */
  readonly logCapacity?: number;
}

/** A Proxmox cluster in this process. To everything above the transport it is a host; it is never kinder than a real one. */
export class Simulator implements Transport {
  readonly log: RequestLog;
  readonly faults = new Faults();
  /** Another administrator. */
  readonly outside: Outside;
  readonly #cluster: Cluster;
  readonly #routes: RouteTable;
  readonly #latencyMs: number;
  #closed = false;

  constructor(options: SimulatorOptions) {
    this.#cluster = new Cluster({
      clock: options.clock,
      world: options.world ?? demoWorld(options.clock.now()),
      random: options.random ?? seededRandom(),
      version: options.version ?? "9.1",
      workers: options.workers ?? 0,
    });
    this.log = new RequestLog(options.logCapacity);
    this.outside = new Outside(this.#cluster);
    const old = options.version === "8.4";
    this.#routes = new RouteTable(allRoutes().filter(({ since }) => !(old && since)));
    this.#latencyMs = options.latencyMs ?? 0;
  }

  /** The state as of now; plain data. */
  get world(): World {
    this.#cluster.catchUp();
    return this.#cluster.world;
  }

  async send(request: WireRequest): Promise<WireReply> {
    request.signal?.throwIfAborted();
    const entry = this.#enter(request);
    const fault = this.faults.take(entry.method, entry.path);
    if (this.#closed || fault?.kind === "refuse") {
      entry.arrived = false;
      throw new WireFault("ECONNREFUSED", "connect ECONNREFUSED", { sent: false });
    }
    return patient(this.#exchange(request, entry, fault), request.signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** Goes on when the caller has given up: what was sent is carried out. */
  async #exchange(
    request: WireRequest,
    entry: LoggedRequest,
    fault: Fault | undefined,
  ): Promise<WireReply> {
    const { clock } = this.#cluster;
    if (this.#latencyMs > 0) await clock.sleep(this.#latencyMs, { background: true });
    if (fault?.kind === "delay") await clock.sleep(fault.ms, { background: true });
    if (fault?.kind === "cutBeforeWorld") throw cut();
    if (fault?.kind === "hang") return never();
    if (fault?.kind === "reply") return conclude(entry, fault.reply);
    entry.arrived = true;
    const parse = () => parseRequest(request);
    const uploaded = (boundary: string) => this.#receive(request, entry, boundary);
    const reply = await answer(this.#cluster, this.#routes, parse, request.headers, uploaded);
    if (fault?.kind === "cutAfterWorld") throw cut();
    if (fault?.kind === "hangAfterWorld") return never();
    return conclude(entry, reply);
  }

  /** An upload takes as long as its sender reads it out; the log shows what came before the file. */
  async #receive(request: WireRequest, entry: LoggedRequest, boundary: string): Promise<Received> {
    const { stream = nothing, signal } = request;
    const received = await receive(stream, boundary, signal);
    Object.assign(entry.body, received.given);
    return received;
  }

  #enter(request: WireRequest): LoggedRequest {
    const [path = "", query = ""] = request.path.split("?");
    const entry = new LoggedRequest({
      at: this.#cluster.clock.now(),
      method: request.method,
      path: decodePath(path),
      query: parseForm(query),
      body: masked(parseForm(request.body ?? "")),
      auth: principalOf(request.headers),
      contentType: request.headers["content-type"] ?? "",
    });
    this.log.add(entry);
    return entry;
  }
}

const nothing: BodyStream = { length: 0, open: async function* () {} };

/** `user@realm` of a ticket, `user@realm!name` of a token; the ticket is what counts where both are sent. */
function principalOf(headers: WireRequest["headers"]): string {
  const cookie = /PVEAuthCookie=PVE(?::|%3A)(.+?)(?::|%3A)/i.exec(headers["cookie"] ?? "")?.[1];
  if (cookie !== undefined) return cookie.replace("%40", "@");
  return /^PVEAPIToken[= ]([^=]+)=/.exec(headers["authorization"] ?? "")?.[1] ?? "";
}

/** A log is no place for passwords; whether a ticket stood for one is worth knowing. */
function masked(body: Given): Given {
  const { password } = body;
  if (typeof password !== "string") return body;
  return { ...body, password: password.startsWith("PVE:") ? "<TICKET>" : "<PASSWORD>" };
}

function decodePath(path: string): string {
  const inner = path.replace(/^\/api2\/json/, "");
  try {
    return decodeURIComponent(inner);
  } catch {
    return inner; // the log shows it as it came
  }
}

function conclude(entry: LoggedRequest, reply: WireReply): WireReply {
  entry.conclude(reply);
  return reply;
}

function cut(): WireFault {
  return new WireFault("UND_ERR_SOCKET", "other side closed", { sent: true });
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** Waits for the answer as long as the caller does. */
function patient(work: Promise<WireReply>, signal: AbortSignal | undefined): Promise<WireReply> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const stop = () => {
      reject(new WireFault("ABORT_ERR", "given up", { sent: true, cause: signal.reason }));
    };
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
