import { path } from "../../http/path.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { flag, record } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";

/**
 * Which guests these credentials see: Proxmox leaves the others out of every list, so one that is missing may be there.
 * PVE: pve-manager src/PVE/API2/Cluster.pm (resources): VM.Audit on /vms/{vmid}; GET /access/permissions?path=…
 */
export class Visibility {
  readonly #verbs: Verbs;

  constructor(verbs: Verbs) {
    this.#verbs = verbs;
  }

  /** Whether a guest of this vmid would be listed if there were one. */
  async ofGuest(vmid: number, call: Call): Promise<boolean> {
    const held = await this.#verbs.live(call, auditQuestion(guestPath(vmid)));
    return held !== undefined;
  }

  /** Whether all guests are listed, but for those whose own path takes the right away again. */
  async ofAll(call: Call): Promise<boolean> {
    const propagates = await this.#verbs.live(call, auditQuestion("/vms"));
    return propagates === true;
  }
}

/** `/vms/101`, as access lists have it. */
export function guestPath(vmid: number): string {
  return `/vms/${vmid}`;
}

/** Undefined: the privilege is not held there; else whether it holds below that path as well. */
function auditQuestion(at: string): Question<boolean | undefined> {
  return {
    path: path`/access/permissions`,
    params: { path: at },
    freshness: fresh("permissions", tags.access),
    parse: (data) => flag(record(record(data)[at])["VM.Audit"]),
  };
}
