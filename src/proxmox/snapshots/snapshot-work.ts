import type { Tag } from "../../cache/store.ts";
import { path } from "../../http/path.ts";
import { tags } from "../api/freshness.ts";
import type { ChangeRequest } from "../api/verbs.ts";
import type { Identified } from "../guests/identity.ts";

/** What every work on snapshots may change. */
export function touchesOf(guest: Identified): readonly Tag[] {
  return [tags.guest(guest), tags.row(guest), tags.tasks];
}

/** What removes one snapshot; its children move to its parent. */
export function removal(guest: Identified, name: string): ChangeRequest {
  return {
    method: "DELETE",
    path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/snapshot/${name}`,
  };
}
