import type { Facts, ProblemKind } from "../problem.ts";

/** One text of PVE's: what it means, what to do, and which Perl source says it. */
export interface RefusalRow {
  readonly pattern: RegExp;
  readonly kind: ProblemKind;
  readonly next?: string;
  readonly facts?: (match: RegExpExecArray) => Facts;
  /** Where the text comes from: package and file. */
  readonly source: string;
}
