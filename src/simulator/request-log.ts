import type { Method, WireReply } from "../http/transport.ts";
import type { Given } from "./request.ts";

/** One request and what became of it. */
export class LoggedRequest {
  /** Milliseconds since the epoch when it was sent. */
  readonly at: number;
  readonly method: Method;
  /** Decoded, without `/api2/json` and query. */
  readonly path: string;
  readonly query: Given;
  readonly body: Given;
  /** `user@realm!token`, `user@realm` for a ticket, or empty. Never the secret. */
  readonly auth: string;
  readonly contentType: string;
  /** Whether the world carried it out; the client may not know. */
  arrived = false;
  /** 0 when no answer came back. */
  status = 0;
  reason = "";
  /** `retry-after`, `content-type`, `connection`. */
  headersOfInterest: Readonly<Record<string, string>> = {};
  #text = "";

  constructor(
    request: Pick<
      LoggedRequest,
      "at" | "method" | "path" | "query" | "body" | "auth" | "contentType"
    >,
  ) {
    this.at = request.at;
    this.method = request.method;
    this.path = request.path;
    this.query = request.query;
    this.body = request.body;
    this.auth = request.auth;
    this.contentType = request.contentType;
  }

  /** The parsed body, its text where it is no JSON, null where it is empty. */
  get response(): unknown {
    if (this.#text === "") return null;
    try {
      return JSON.parse(this.#text);
    } catch {
      return this.#text; // a proxy's page
    }
  }

  /** Called by the simulator when the answer goes out. */
  conclude(reply: WireReply): void {
    this.status = reply.status;
    this.reason = reply.reason;
    this.#text = reply.body;
    const shown = Object.entries(reply.headers).filter(([name]) => interesting.has(name));
    this.headersOfInterest = Object.fromEntries(shown);
  }
}

const interesting: ReadonlySet<string> = new Set(["content-type", "connection", "retry-after"]);

export interface RequestFilter {
  readonly method?: Method;
  /** Exact text, or a pattern on the path. */
  readonly path?: string | RegExp;
  readonly status?: number;
  /** Counts from a mark on. */
  readonly since?: number;
}

/** Every request that reached the simulator, in the order of sending: figures are counted here, not asserted by hand. */
export class RequestLog {
  readonly #capacity: number;
  #entries: LoggedRequest[] = [];
  #dropped = 0;

  /** `capacity`: how many requests are kept, the oldest being forgotten first. */
  constructor(capacity = Number.POSITIVE_INFINITY) {
    this.#capacity = capacity;
  }

  /** Called by the simulator. */
  add(entry: LoggedRequest): void {
    this.#entries.push(entry);
    if (this.#entries.length <= this.#capacity) return;
    this.#entries.shift();
    this.#dropped++;
  }

  get entries(): readonly LoggedRequest[] {
    return this.#entries;
  }

  /** The place where the log ends now. */
  mark(): number {
    return this.#dropped + this.#entries.length;
  }

  /** What came after a mark. */
  since(mark: number): readonly LoggedRequest[] {
    return this.#entries.slice(Math.max(0, mark - this.#dropped));
  }

  filter(filter: RequestFilter = {}): readonly LoggedRequest[] {
    return this.since(filter.since ?? 0).filter((entry) => matches(entry, filter));
  }

  count(filter: RequestFilter = {}): number {
    return this.filter(filter).length;
  }

  /** Everything but GET. */
  changes(mark = 0): readonly LoggedRequest[] {
    return this.since(mark).filter((entry) => entry.method !== "GET");
  }

  /** `GET /cluster/resources`, one a request. */
  paths(mark = 0): readonly string[] {
    return this.since(mark).map((entry) => `${entry.method} ${entry.path}`);
  }

  clear(): void {
    this.#dropped += this.#entries.length;
    this.#entries = [];
  }

  /** One JSON object a line: method, path, query, body, status, response; requests without an answer are left out. */
  toJsonLines(): string {
    const answered = this.#entries.filter((entry) => entry.status > 0);
    return answered
      .map((entry) => `${JSON.stringify({ ...entry, response: entry.response })}\n`)
      .join("");
  }
}

function matches(entry: LoggedRequest, { method, path, status }: RequestFilter): boolean {
  if (method !== undefined && entry.method !== method) return false;
  if (status !== undefined && entry.status !== status) return false;
  if (path === undefined) return true;
  return typeof path === "string" ? entry.path === path : path.test(entry.path);
}
