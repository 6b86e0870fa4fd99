import type { Tag } from "../../cache/store.ts";
import type { Problem } from "../../problem.ts";
import type { ChangeRequest } from "../api/verbs.ts";
import type { FollowOptions, Task } from "./task.ts";

/** What a change would send, what that does, and what speaks against it. */
export interface Plan {
  /** Absent where the guest is already as wanted. */
  readonly request?: ChangeRequest;
  /** What follows when that is done; to be shown. */
  readonly after?: readonly ChangeRequest[];
  /** One sentence without a full stop: `starts VM 101 (web-1) on pve1`. */
  readonly says: string;
  readonly against: readonly Problem[];
  readonly touches: readonly Tag[];
  /** A task of ours that does this already: it is waited for, and nothing is sent twice. */
  readonly join?: Task | undefined;
  /** Types of tasks of ours that may work on the guest meanwhile; any other speaks against the change. */
  readonly beside?: readonly string[];
  /** PVE answers when it is done, and names no task. */
  readonly synchronous?: boolean;
  readonly follow?: Omit<FollowOptions, "touches">;
}
