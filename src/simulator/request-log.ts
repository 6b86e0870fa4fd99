import type { Method } from "../http/transport.ts";
import type { Given } from "./request.ts";

/** One request and what became of it. */
export interface LoggedRequest {
  /** Milliseconds since the epoch when it was sent. */
  readonly at: number;
  readonly method: Method;
  /** Decoded, without `/api2/json` and query. */
  readonly path: string;
  readonly query: Given;
  readonly body: Given;
  /** `user@realm!token`, or empty. Never the secret. */
  readonly auth: string;
  readonly contentType: string;
  /** Whether the world carried it out; the client may not know. */
  arrived: boolean;
  /** 0 when no answer came back. */
  status: number;
  reason: string;
  /** The parsed body, or its text where it is no JSON. */
  response: unknown;
  /** `retry-after`, `content-type`, `connection`. */
  headersOfInterest: Readonly<Record<string, string>>;
}

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
  readonly #entries: LoggedRequest[] = [];

  /** Called by the simulator; the entry is completed when the answer goes out. */
  add(entry: LoggedRequest): void {
    this.#entries.push(entry);
  }

  get entries(): readonly LoggedRequest[] {
    return this.#entries;
  }

  /** The place where the log ends now. */
  mark(): number {
    return this.#entries.length;
  }

  /** What came after a mark. */
  since(mark: number): readonly LoggedRequest[] {
    return this.#entries.slice(mark);
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
    this.#entries.length = 0;
  }

  /** One JSON object a line: method, path, query, body, status, response; requests without an answer are left out. */
  toJsonLines(): string {
    const answered = this.#entries.filter((entry) => entry.status > 0);
    return answered.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  }
}

function matches(entry: LoggedRequest, { method, path, status }: RequestFilter): boolean {
  if (method !== undefined && entry.method !== method) return false;
  if (status !== undefined && entry.status !== status) return false;
  if (path === undefined) return true;
  return typeof path === "string" ? entry.path === path : path.test(entry.path);
}
