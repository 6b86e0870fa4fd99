import type { ReadCache } from "../../cache/cache.ts";
import type { Fetched, Freshness, Part } from "../../cache/reading.ts";
import type { Tag } from "../../cache/store.ts";
import type { Clock } from "../../clock.ts";
import type { ApiClient } from "../../http/client.ts";
import type { ApiPath } from "../../http/path.ts";
import type { FilePart, Method } from "../../http/transport.ts";
import { Problem } from "../../problem.ts";
import type { Call } from "./call.ts";
import { type Ages, type Dependence, defaultAges } from "./freshness.ts";

export type Params = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

/** A question to PVE: where, how long its answer is good, and what the answer means. */
export interface Question<T> {
  readonly path: ApiPath;
  readonly params?: Params;
  readonly freshness: Dependence;
  readonly parse: (data: unknown, at: { readonly beganAt: number; readonly total?: number }) => T;
}

/** A request that changes something. */
export interface ChangeRequest {
  readonly method: Exclude<Method, "GET">;
  readonly path: ApiPath;
  readonly params?: Params;
  /** Texts among `params` that no message may repeat. */
  readonly secrets?: readonly string[];
  /** What is uploaded with it. */
  readonly file?: FilePart;
  /** How long sending and answering may take together; 60 s unless given. */
  readonly deadlineMs?: number;
}

/** The answers that something was composed of. */
export interface Composed {
  readonly parts: readonly Part[];
  /** Until when all of them are trusted, in ms. */
  readonly until: number;
  /** The tags of all, with their counters. */
  readonly all: Pick<Part, "tags" | "epochs">;
}

/** What was composed of several reads and kept being overtaken is given up after this many tries. */
const maxTries = 5;

/** The two verbs that every resource API stands on: observe (cache, then wire) and change (wire, then invalidate). */
export class Verbs {
  /** Told of every answer that a sweep may vouch for, with the host's own time of asking, in ms (0 or less: it gave none). */
  onKept: (tags: readonly Tag[], askedAt: number) => void = () => undefined;
  /** How far the host's clock is before ours, in ms, by the last answer that told (whole seconds). */
  hostAheadMs = 0;
  readonly api: ApiClient;
  readonly cache: ReadCache;
  readonly clock: Clock;
  readonly ages: Ages;

  constructor(api: ApiClient, cache: ReadCache, clock: Clock, ages: Ages = defaultAges) {
    this.api = api;
    this.cache = cache;
    this.clock = clock;
    this.ages = ages;
  }

  /** Answers from memory where that is fresh enough for the call, else asks PVE, once for all who ask at the same time. */
  observe<T>(call: Call, question: Question<T>): Promise<T> {
    const [key, freshness] = [keyOf(question), this.#freshness(question)];
    return this.cache.read(key, freshness, call, this.#fetch(call, question));
  }

  /** Whether memory could answer this without a request. */
  isFresh<T>(question: Question<T>): Promise<boolean> {
    return this.cache.isFresh(keyOf(question), this.#freshness(question));
  }

  /** Asks PVE, whatever memory says; the answer is kept for others. For reads that a change stands on. */
  live<T>(call: Call, question: Question<T>): Promise<T> {
    const [key, freshness] = [keyOf(question), this.#freshness(question)];
    return this.cache.live(key, freshness, call, this.#fetch(call, question));
  }

  /**
   * Sends a change once and invalidates what it touches as soon as it is answered, also when the answer was lost.
   * Resolves to PVE's answer: a UPID, or null for synchronous changes.
   */
  async change(call: Call, request: ChangeRequest, touches: readonly Tag[]): Promise<unknown> {
    try {
      const { params, ...rest } = request;
      const reply = await this.api.request({
        ...rest,
        ...(params && { params }),
        signal: call.signal,
        onSend: () => call.sent(),
      });
      return reply.data;
    } finally {
      await this.cache.invalidate(touches);
    }
  }

  /** Runs `compose` again until nothing it has read was overtaken by a change while it ran. */
  async consistent<T>(call: Call, compose: () => Promise<T>): Promise<T> {
    const before = call.parts;
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const parts: Part[] = [];
      call.parts = parts;
      const result = await compose();
      call.parts = [...before, ...parts];
      if (await this.cache.holds(parts)) return result;
    }
    throw new Problem("busy", "What was read kept changing while it was being read.", {
      next: "Try again in a few seconds.",
    });
  }

  /** Whether what was composed of answers that are all in memory still may be served to this call; `still`: nor has anything else changed. */
  async again(call: Call, composed: Composed, still: () => boolean): Promise<boolean> {
    const { parts, until, all } = composed;
    if (call.maxAgeMs !== undefined || until < this.clock.now()) return false;
    const same = (await this.cache.holds([all])) && (await this.cache.keeps(parts));
    if (!same || !still()) return false;
    this.cache.served(parts);
    for (const part of parts) call.note(part);
    return true;
  }

  #freshness<T>({ freshness: { kind, tags } }: Question<T>): Freshness {
    return { ...this.ages[kind], tags };
  }

  #fetch<T>(call: Call, question: Question<T>): (signal: AbortSignal) => Promise<Fetched<T>> {
    return async (signal) => {
      const beganAt = this.clock.now();
      const reply = await this.api.request({
        method: "GET",
        path: question.path,
        ...(question.params && { params: question.params }),
        signal,
        onSend: () => call.sent(),
      });
      if (reply.date !== undefined) this.hostAheadMs = reply.date - this.clock.now();
      if (this.ages[question.freshness.kind].swept) {
        // The host stamps its answer when it sends it; what it says may be as old as the request.
        const tookMs = this.clock.now() - beganAt;
        this.onKept(question.freshness.tags, (reply.date ?? 0) - tookMs);
      }
      const total = reply.total === undefined ? {} : { total: reply.total };
      return {
        value: question.parse(reply.data, { beganAt, ...total }),
        bytes: inMemory(reply.bytes),
      };
    };
  }
}

/**
 * What an answer of this length takes in memory, in bytes, rather too much than too little. Measured with Node 20, a configuration of
 * 520 characters takes 1.5 KB, without what remembers it; 20 disks take seven times their text, as each is
 * an object of several strings; one character beyond Latin-1 makes two bytes of each in its text.
 */
function inMemory(characters: number): number {
  return 2_000 + 4 * characters;
}

/** One connection has one cache, so path and query name an answer; the query's order does not matter. */
function keyOf(question: { readonly path: ApiPath; readonly params?: Params }): string {
  const params = Object.entries(question.params ?? {})
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return params.length === 0 ? question.path : `${question.path}?${JSON.stringify(params)}`;
}
