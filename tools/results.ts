import type { Outcome } from "../src/each.ts";
import type { Problem } from "../src/problem.ts";
import { followedBy, oneLine } from "../src/text.ts";
import { type ChangeResult, requestLine, type ShownPlan } from "./outcome.ts";

type Row = Readonly<Record<string, unknown>>;

/** What went wrong with one of several. */
interface Failure {
  readonly kind: string;
  readonly message?: string;
  readonly next?: string;
  /** The guest above whose message and next step are, but for vmids and names, those of this one too. */
  readonly like?: string;
}

/** From more of them on, only what tells them apart: 50 stay within 2,000 tokens. */
const maxWhole = 10;
/** Characters of the reasons that are told of many. */
const maxReasons = 3_000;
const [maxMessage, maxNext] = [300, 250];
/** Guests of several whose requests are shown too. */
const maxSent = 5;
/** Characters of such a request. */
const maxRequest = 200;

/** One of several: its result, or its error with the guest as it was named. */
export function results(
  names: readonly string[],
  outcomes: readonly Outcome<ChangeResult>[],
): readonly Row[] {
  const many = outcomes.length > maxWhole;
  const reasons = new Reasons();
  return outcomes.map((outcome, index) => {
    const guest = names[index] ?? "";
    if (outcome.ok) return outcomes.length > 1 ? brief(outcome.value, index, many) : outcome.value;
    const { problem } = outcome;
    return { guest, error: many ? reasons.of(guest, problem) : whole(problem, outcomes.length) };
  });
}

/** A log is for whoever asks for the task. */
function whole({ kind, message, next, retryable, facts }: Problem, count: number) {
  const { log, ...rest } = facts;
  const kept = count === 1 ? { message, facts } : { message: short(message), facts: rest };
  return { kind, ...kept, ...(next && { next }), retryable };
}

/** Equal reasons of many are told once, as far as there is room. */
class Reasons {
  readonly #first = new Map<string, string>();
  #left = maxReasons;

  of(guest: string, problem: Problem): Failure {
    const { kind } = problem;
    const message = short(problem.message);
    const next = problem.next && oneLine(problem.next, maxNext);
    const reason = `${kind} ${shape(message)} ${shape(next ?? "")}`;
    const like = this.#first.get(reason);
    if (like !== undefined) return { kind, like };
    this.#left -= message.length + (next?.length ?? 0);
    if (this.#left < 0) return this.#untold(guest, kind);
    this.#first.set(reason, guest);
    return { kind, message, ...(next && { next }) };
  }

  #untold(guest: string, kind: string): Failure {
    const like = this.#first.get(kind);
    if (like !== undefined) return { kind, like };
    this.#first.set(kind, guest);
    return { kind };
  }
}

/** Without the lines of a log. */
function short(message: string): string {
  return oneLine(message.split("\n")[0] ?? "", maxMessage);
}

/** What is left of a sentence without vmids and names. */
function shape(text: string): string {
  return text
    .replace(/\b(VM|container|guest) \d+ \([^)]*\)/g, "$1")
    .replace(/"[^"]*"|\d+/g, "…")
    .replace(/ Closest: .*/, "");
}

/** A plan of several: what it does, for the first ones what it would send, and what speaks against it. */
function brief(result: ChangeResult, index: number, many: boolean): Row {
  if (!result.plan) return many ? done(result) : result;
  const { says, requests, against } = result.plan as unknown as ShownPlan;
  const plan = {
    says,
    ...(index < maxSent && { sends: requests.map((one) => oneLine(requestLine(one), maxRequest)) }),
    ...(against.length > 0 && { against }),
  };
  if (index < maxSent) return { ...result, plan };
  const { type: _, status: __, name: ___, node: ____, ...rest } = result;
  return { ...rest, plan };
}

/** A task that has ended well needs no looking after. */
export function done({ upid, task, ...rest }: ChangeResult): Row {
  const quiet = !task || (task["state"] === "ok" && !task["warnings"] && !task["queued"]);
  return quiet ? rest : { ...rest, upid, task };
}

/** The words for several: a line for each that went well, and for those that failed for the same reason. */
export function showResults(all: readonly unknown[], one: (result: ChangeResult) => string) {
  const rows = all as readonly { readonly guest?: string; readonly error?: Failure }[];
  const lines = rows.flatMap((row) => {
    const { guest = "", error } = row;
    if (!error) return [one(row as ChangeResult)];
    if (error.like !== undefined) return [];
    const others = rows.filter((other) => other.error?.like === guest && other.error !== error);
    const who = [guest, ...others.map((other) => other.guest)].join(", ");
    const why = error.message ?? "too many reasons for one answer; ask for fewer guests";
    return [`${who}: ${error.kind}: ${followedBy(why, error.next)}`];
  });
  return lines.join("\n");
}
