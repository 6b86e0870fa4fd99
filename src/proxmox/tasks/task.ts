import type { Tag } from "../../cache/store.ts";
import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import { discreet } from "../../text.ts";
import type { Call, Progress } from "../api/call.ts";
import { type Dependence, fresh, tags } from "../api/freshness.ts";
import { parseUpid, record, records, text, type Upid } from "../api/values.ts";
import type { Question } from "../api/verbs.ts";

/** `ok`, `warnings` (a success with remarks) and `failed` are ends; `unknown`: PVE lost the task, or could not be asked any more. */
export type TaskState = "running" | "ok" | "warnings" | "failed" | "unknown";

/** What is known of a task. */
export interface TaskReport {
  readonly upid: string;
  readonly node: string;
  readonly type: string;
  readonly state: TaskState;
  /** PVE's own word: `OK`, `WARNINGS: 2`, or the error. */
  readonly exitstatus?: string;
  /** Warnings of a success, or the last lines of a failure. */
  readonly log?: readonly string[];
  /** The next step after a failure, where we know better than to mend the cause. */
  readonly next?: string;
  /** What we have to say of it: a step after it that could not be done. */
  readonly remarks?: readonly string[];
  /** Why its state could not be asked at the last look: what is said of it may be old. */
  readonly trouble?: Problem;
  /** The vmid that the new guest got in the end, where the first one was lost to somebody else. */
  readonly vmid?: number;
  /** The guest was to be started afterwards, and that failed. */
  readonly unstarted?: true;
}

export interface SettleOptions {
  readonly signal?: AbortSignal;
  /** How long to wait, in ms. */
  readonly timeoutMs: number;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** The call that waits, and so pays for the polls. */
  readonly call?: Call;
}

/** What follows the end of a task, whether or not anybody waits; its own task, if any, is followed in its turn. */
export type FollowUp = (report: TaskReport, call: Call) => Promise<TaskReport>;

/** A task of ours: followed to its end, whether or not anybody waits. */
export interface Task {
  readonly upid: string;
  /** Waits; answers `running` when the time runs out or the signal aborts, and the task goes on. */
  settle(options: SettleOptions): Promise<TaskReport>;
}

export interface FollowOptions {
  /** Invalidated when the task ends, before anybody hears of it. */
  readonly touches: readonly Tag[];
  /** Called when the task ended well. */
  readonly followUp?: FollowUp;
  /** Called when it failed: what it answers counts instead. */
  readonly recover?: FollowUp;
  /**
   * Called at the end, before anything follows and before anybody hears of it: what is known now is laid over what lags. Answers
   * what must be asked again besides `touches`.
   */
  readonly onEnd?: (report: TaskReport) => readonly Tag[] | undefined;
}

/** PVE: GET /nodes/{node}/tasks/{upid}/status */
export function statusQuestion(upid: Upid): Question<TaskReport> {
  return {
    path: path`/nodes/${upid.node}/tasks/${upid.upid}/status`,
    freshness: fresh("never"),
    parse: (data) => readStatus(data, upid),
  };
}

/** Of a task's log that is asked for once its end was seen: there will be no other line. */
export const endedLog: Dependence = fresh("stoppedTask", tags.stoppedTask);

/** PVE: GET /nodes/{node}/tasks/{upid}/log; `start` is the number of lines to skip. */
export function logQuestion(
  upid: Upid,
  start: number,
  limit: number,
  freshness: Dependence = fresh("never"),
) {
  return {
    path: path`/nodes/${upid.node}/tasks/${upid.upid}/log`,
    params: { start, limit },
    freshness,
    parse: (data: unknown, { total = 0 }: { readonly total?: number }) => ({
      total,
      lines: records(data).map((line) => discreet(text(line["t"]) ?? "")),
    }),
  };
}

function readStatus(data: unknown, upid: Upid): TaskReport {
  const wire = record(data);
  if (text(wire["status"]) === "running") return { ...identity(upid), state: "running" };
  const exitstatus = discreet(text(wire["exitstatus"]) ?? "unexpected status");
  return { ...identity(upid), state: stateOf(exitstatus), exitstatus };
}

/** PVE: pve-common src/PVE/UPID.pm, upid_normalize_status_type: warnings are success. */
export function stateOf(exitstatus: string): "ok" | "warnings" | "failed" {
  if (exitstatus === "OK") return "ok";
  return /^WARNINGS: [0-9]+$/.test(exitstatus) ? "warnings" : "failed";
}

/**
 * Whether it has ended and its log is whole, as PVE takes its state from the last line: a task may be stopped a moment before that
 * is written.
 */
export function isOver({ state, exitstatus = "" }: TaskReport): boolean {
  return state !== "running" && !/^unexpected status|^unable to get last line/.test(exitstatus);
}

/** Ended well, perhaps with warnings. */
export function succeeded({ state }: TaskReport): boolean {
  return state === "ok" || state === "warnings";
}

/** What a report says of any task. */
export function identity(upid: Upid) {
  return { upid: upid.upid, node: upid.node, type: upid.type };
}

/** PVE does not know the task any more, or could not be asked for long. */
export function lost(upid: Upid, trouble: Problem): TaskReport {
  return { ...identity(upid), state: "unknown", trouble };
}

/** The parts of a UPID that somebody gave; `invalid_input` where it is none. */
export function known(upid: string): Upid {
  const parsed = parseUpid(upid);
  // PVE decodes the whole path before it splits it, so an encoded slash would be one.
  if (parsed && !/%2f/i.test(upid)) return parsed;
  throw new Problem("invalid_input", `"${upid.slice(0, 80)}" is not a UPID.`, {
    facts: { argument: "upid" },
    next: "Give upid as an answer has shown it (UPID:node:…:), or leave it out to list tasks.",
  });
}
