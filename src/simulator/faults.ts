import type { Method, WireReply } from "../http/transport.ts";

/** Which requests a fault hits. */
export interface FaultMatch {
  readonly method?: Method;
  /** On the decoded path without /api2/json. */
  readonly path?: RegExp;
  /** How often; without it until it is removed. */
  readonly times?: number;
}

export type Fault =
  /** Nobody listens: nothing leaves the client. */
  | { readonly kind: "refuse" }
  /** The connection breaks before the host reads the request. */
  | { readonly kind: "cutBeforeWorld" }
  /** The host carries it out, and the answer is lost. */
  | { readonly kind: "cutAfterWorld" }
  /** No answer ever; the request is not carried out. */
  | { readonly kind: "hang" }
  /** The host carries it out, and no answer ever comes. */
  | { readonly kind: "hangAfterWorld" }
  | { readonly kind: "delay"; readonly ms: number }
  /** Something in between answers, and the host never sees the request. */
  | { readonly kind: "reply"; readonly reply: WireReply };

interface Injected {
  readonly match: FaultMatch;
  readonly fault: Fault;
  left: number;
}

/** Trouble on the wire, injected on purpose. Each method answers a function that removes the fault. */
export class Faults {
  #injected: Injected[] = [];

  refuse(match: FaultMatch = {}): () => void {
    return this.#add(match, { kind: "refuse" });
  }

  cutBeforeWorld(match: FaultMatch = {}): () => void {
    return this.#add(match, { kind: "cutBeforeWorld" });
  }

  cutAfterWorld(match: FaultMatch = {}): () => void {
    return this.#add(match, { kind: "cutAfterWorld" });
  }

  hang(match: FaultMatch = {}): () => void {
    return this.#add(match, { kind: "hang" });
  }

  hangAfterWorld(match: FaultMatch = {}): () => void {
    return this.#add(match, { kind: "hangAfterWorld" });
  }

  delay(ms: number, match: FaultMatch = {}): () => void {
    return this.#add(match, { kind: "delay", ms });
  }

  /** An answer that the API did not give: 502 of a proxy, 429 with `retry-after`, 596 with an empty body, HTML … */
  reply(
    reply: Partial<WireReply> & { readonly status: number },
    match: FaultMatch = {},
  ): () => void {
    const { status, reason = "", headers = {}, body = "" } = reply;
    return this.#add(match, { kind: "reply", reply: { status, reason, headers, body } });
  }

  clear(): void {
    this.#injected = [];
  }

  /** The fault that hits this request, counted down; called by the simulator. */
  take(method: Method, path: string): Fault | undefined {
    const hit = this.#injected.find(({ match }) => {
      const sameMethod = match.method === undefined || match.method === method;
      return sameMethod && (match.path === undefined || match.path.test(path));
    });
    if (!hit) return undefined;
    hit.left--;
    if (hit.left <= 0) this.#remove(hit);
    return hit.fault;
  }

  #add(match: FaultMatch, fault: Fault): () => void {
    const injected = { match, fault, left: match.times ?? Number.POSITIVE_INFINITY };
    this.#injected.push(injected);
    return () => this.#remove(injected);
  }

  #remove(injected: Injected): void {
    this.#injected = this.#injected.filter((other) => other !== injected);
  }
}
