import type { Clock } from "../clock.ts";
import type { Authenticator } from "./auth.ts";
import type { ApiReply } from "./envelope.ts";
import { type Failed, failure, givenUp } from "./failure.ts";
import { Hearing } from "./hearing.ts";
import { type Host, Hosts } from "./hosts.ts";
import { Lanes } from "./lanes.ts";
import { nodeOf, templateOf } from "./path.ts";
import { Patience } from "./patience.ts";
import { withoutPieces } from "./pieces.ts";
import { cleanText } from "./refusal.ts";
import { classify, type Outcome, retryDecision } from "./retry.ts";
import { type HostTrust, type Method, WireFault } from "./transport.ts";
import { type ApiRequest, wireRequest } from "./wire-request.ts";

export interface ApiClientOptions {
  /** The hosts of one cluster, the preferred one first. */
  readonly hosts: readonly Host[];
  readonly auth: Authenticator;
  readonly clock: Clock;
  /** 0..1, for the spread of retries. */
  readonly random?: () => number;
  /** Whether a node is known to be down, so that a 595 from it is no surprise worth a retry. */
  readonly isOffline?: (node: string) => boolean;
  /** For one request with its queueing and its retries; 60 s unless given, of which a read waits 25 s for an answer. */
  readonly deadlineMs?: number;
  readonly onRequest?: (event: RequestEvent) => void;
}

/** One attempt, for logs and metrics. */
export interface RequestEvent {
  readonly method: Method;
  /** The path with ids replaced: `/nodes/{node}/qemu/{vmid}/config`. */
  readonly template: string;
  /** undefined: no complete answer. */
  readonly status: number | undefined;
  readonly ms: number;
  /** 1 is the first. */
  readonly attempt: number;
}

/** How a request is sent: as ours, or as one of the authenticator's own. */
interface Manner {
  /** What it counts as where it matters whether it may be repeated: a login is a POST that changes nothing. */
  readonly like: Method;
  /** Undefined: it goes without credentials. */
  readonly auth: Authenticator | undefined;
}

/** Where a request stands. */
interface Progress {
  attempt: number;
  /** It may have reached PVE and been carried out. */
  left: boolean;
  /** It was sent again with new credentials, which happens once. */
  renewed: boolean;
}

/** The caller gave up before. */
interface Unsent {
  readonly kind: "unsent";
  readonly cause: unknown;
}

const defaultDeadlineMs = 60_000;
/** A read is not worth a longer wait: PVE gives up its own hop to a node, or to the daemon, after 30 s. */
const answerMs = 25_000;

/** The API of one cluster: who we are, in which order, how often, and what an answer means. The floor below knows bytes only. */
export class ApiClient {
  readonly #options: ApiClientOptions;
  readonly #hosts: Hosts;
  readonly #lanes: Lanes;
  readonly #hearing: Hearing;
  #lastLatencyMs: number | undefined;

  constructor(options: ApiClientOptions) {
    this.#options = options;
    this.#hosts = new Hosts(options.hosts);
    this.#hearing = new Hearing(() => options.clock.now());
    this.#lanes = new Lanes(options.clock, this.#hearing);
    options.auth.connect?.((request) => this.#run(request, { like: "GET", auth: undefined }));
  }

  /** Who asks: `user@realm!name`, `user@realm`. */
  get principal(): string {
    return this.#options.auth.principal;
  }

  /** The name of the host in use. */
  get host(): string {
    return this.#hosts.name;
  }

  /** The names of all hosts: `pve1.example:8006`. */
  get hosts(): readonly string[] {
    return this.#hosts.names;
  }

  /** How the certificates of the hosts are judged. */
  get trusts(): readonly HostTrust[] {
    return this.#hosts.trusts;
  }

  /** How the certificate of that host is judged; undefined where it has none. */
  trustOf(host: string): HostTrust | undefined {
    return this.#hosts.trustOf(host);
  }

  /** From sending to the whole answer, of the last answer that came. */
  get lastLatencyMs(): number | undefined {
    return this.#lastLatencyMs;
  }

  /**
   * Asks PVE and answers its `data`. Reads are repeated where that may help; changes are sent once, unless they provably did
   * not leave. Every refusal is a Problem: see refusal.ts for the kinds; besides those `unreachable`, `timeout`, `cancelled`,
   * `upstream` for answers that are none, and for changes that may have been carried out `outcome_unknown`.
   */
  request(request: ApiRequest): Promise<ApiReply> {
    return this.#run(request, { like: request.method, auth: this.#options.auth });
  }

  async close(): Promise<void> {
    await this.#hosts.close();
  }

  async #run(request: ApiRequest, manner: Manner): Promise<ApiReply> {
    const deadlineMs = request.deadlineMs ?? this.#options.deadlineMs ?? defaultDeadlineMs;
    const patience = new Patience(this.#options.clock, deadlineMs, request.signal);
    try {
      return await this.#persist(request, manner, patience);
    } finally {
      patience.end();
    }
  }

  async #persist(request: ApiRequest, manner: Manner, patience: Patience): Promise<ApiReply> {
    const progress: Progress = { attempt: 1, left: false, renewed: false };
    const failed = () => this.#failed(request, manner);
    const giveUp = (cause: unknown) =>
      givenUp(failed(), { left: progress.left, expiredMs: patience.expiredMs, cause });
    for (; ; progress.attempt++) {
      const outcome = await this.#attempt(request, manner, patience, progress);
      if (outcome.kind === "answer") return outcome.answer;
      if (outcome.kind === "unsent") throw giveUp(outcome.cause);
      progress.left ||= outcome.kind !== "fault" || outcome.fault.sent;
      if (outcome.kind === "fault" && patience.signal.aborted) throw giveUp(outcome.fault);
      const delayMs = retryDecision(this.#facts(request, manner, patience, progress), outcome);
      if (delayMs === undefined) throw failure(outcome, failed());
      await this.#options.clock
        .sleep(delayMs, { signal: patience.signal })
        .catch((cause: unknown) => Promise.reject(giveUp(cause)));
    }
  }

  /**
   * Once, or twice where PVE refuses credentials that can be renewed: before a 401 nothing was done, so changes are no exception.
   * Credentials come before the place, as a login needs one itself; what was replaced while it waited for its place is not sent.
   */
  async #attempt(
    request: ApiRequest,
    { auth, like }: Manner,
    patience: Patience,
    progress: Progress,
  ): Promise<Outcome | Unsent> {
    const { signal } = patience;
    const node = nodeOf(request.path);
    const began = node && like === "GET" ? this.#hearing.waits(node, patience) : () => undefined;
    try {
      for (;;) {
        const credentials = (await auth?.headers(request.method, signal)) ?? {};
        signal.throwIfAborted();
        const outcome = await this.#lanes.run(node, signal, async () => {
          began();
          if (auth?.current?.(credentials) === false) return undefined;
          // What a change brings about is followed, whoever has given up: its answer says where to look.
          if (like !== "GET") patience.detach();
          const heard = like === "GET" ? this.#expectAnswer(request, patience) : () => undefined;
          const one = await this.#exchange(request, credentials, signal, progress.attempt);
          heard();
          patience.attach();
          // Before its place goes to the next, which would take the same credentials.
          const renewed = isUnauthorized(one) && !progress.renewed && auth?.rejected?.(credentials);
          progress.renewed ||= renewed === true;
          if (one.kind === "answer") auth?.accepted?.(credentials);
          return renewed ? undefined : one;
        });
        if (outcome) return outcome;
      }
    } catch (error) {
      // Login, queue and transport reject with the signal's own reason where nothing was written.
      if (signal.aborted && error === signal.reason) return { kind: "unsent", cause: error };
      throw error;
    } finally {
      began();
    }
  }

  /** From now on: where no answer comes in time, those who wait for the same node hear of it. Answers what ends that. */
  #expectAnswer({ path, deadlineMs }: ApiRequest, patience: Patience): () => void {
    const [node, since] = [nodeOf(path), this.#options.clock.now()];
    return patience.expect(deadlineMs ?? answerMs, () => {
      if (node !== undefined) this.#hearing.silent(node, since, answerMs);
    });
  }

  async #exchange(
    request: ApiRequest,
    credentials: Readonly<Record<string, string>>,
    signal: AbortSignal,
    attempt: number,
  ): Promise<Outcome> {
    const { clock } = this.#options;
    const sentAt = clock.now();
    let outcome: Outcome;
    try {
      const reply = await this.#hosts.send(wireRequest(request, credentials, signal));
      outcome = classify(reply, clock.now() - sentAt);
    } catch (error) {
      if (!(error instanceof WireFault)) throw error;
      outcome = { kind: "fault", fault: error };
    }
    this.#account(request, outcome, { ms: clock.now() - sentAt, attempt });
    return outcome;
  }

  #account(
    request: ApiRequest,
    outcome: Outcome,
    measured: { readonly ms: number; readonly attempt: number },
  ): void {
    const status = outcome.kind === "fault" ? undefined : outcome.reply.status;
    if (status !== undefined) this.#lastLatencyMs = measured.ms;
    // 59x are the answering host's own words about a node that it could not ask.
    const speaker = status && status < 590 ? nodeOf(request.path) : undefined;
    if (status !== undefined) this.#hearing.heard(speaker, measured.ms);
    if (outcome.kind !== "fault" || outcome.fault.sent) request.onSend?.();
    const { method } = request;
    this.#options.onRequest?.({ method, template: templateOf(request.path), status, ...measured });
  }

  #facts(request: ApiRequest, { like }: Manner, patience: Patience, { attempt }: Progress) {
    const { clock, random = Math.random, isOffline = () => false } = this.#options;
    return {
      method: like,
      node: nodeOf(request.path),
      attempt,
      remainingMs: patience.remainingMs,
      now: clock.now(),
      random: random(),
      isOffline,
    };
  }

  #failed(request: ApiRequest, { like, auth: used }: Manner): Failed {
    const { auth } = this.#options;
    return {
      method: like,
      what: `${request.method} ${cleanText(decodeURIComponent(request.path))}`,
      node: nodeOf(request.path),
      host: this.#hosts.name,
      hosts: this.#hosts.names,
      principal: auth.principal,
      advice: () => used?.advice?.(),
      scrub: (text) => withoutPieces(auth.scrub(text), request.secrets ?? []),
    };
  }
}

function isUnauthorized(outcome: Outcome): boolean {
  return outcome.kind === "refusal" && outcome.reply.status === 401;
}
