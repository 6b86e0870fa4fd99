/** Everything that can go wrong in a way the caller can understand: a closed set, so that scripts may switch on it. */
export const problemKinds = [
  "invalid_input",
  "not_found",
  "ambiguous",
  "identity_changed",
  "confirmation_required",
  "denied",
  "unauthorized",
  "forbidden",
  "conflict",
  "locked",
  "busy",
  "unsupported",
  "task_failed",
  "outcome_unknown",
  "timeout",
  "cancelled",
  "unreachable",
  "upstream",
  "bug",
] as const;

export type ProblemKind = (typeof problemKinds)[number];

/** Small, JSON-safe facts that a script may act on (vmid, node, upid, candidates …). Never secrets. */
export type Facts = Readonly<Record<string, unknown>>;

/** Kinds where the same call may succeed later without a change of its arguments. */
const retryableKinds: ReadonlySet<ProblemKind> = new Set([
  "locked",
  "busy",
  "timeout",
  "unreachable",
]);

export interface ProblemOptions {
  /** The next step, as one sentence in the imperative. */
  readonly next?: string;
  readonly facts?: Facts;
  /** Overrides what the kind implies. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/**
 * The only error that our code throws on purpose. `message` says what happened and to what, `next` what to do about it.
 * Anything else that is thrown is a bug and is presented as one, without its internals.
 */
export class Problem extends Error {
  readonly kind: ProblemKind;
  readonly next: string | undefined;
  readonly facts: Facts;
  readonly retryable: boolean;

  constructor(kind: ProblemKind, message: string, options: ProblemOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Problem";
    this.kind = kind;
    this.next = options.next;
    this.facts = options.facts ?? {};
    this.retryable = options.retryable ?? retryableKinds.has(kind);
  }
}

/** Narrowing with an optional kind: `isProblem(error, "not_found")`. */
export function isProblem(error: unknown, ...kinds: readonly ProblemKind[]): error is Problem {
  return error instanceof Problem && (kinds.length === 0 || kinds.includes(error.kind));
}
