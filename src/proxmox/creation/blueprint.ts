import { path } from "../../http/path.ts";
import type { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { GuestConfig } from "../api/guest-config.ts";
import { type GuestType, guestWords } from "../api/values.ts";
import type { ChangeRequest, Params } from "../api/verbs.ts";
import type { Fetch } from "../storage/fetches.ts";
import { Stages } from "../tasks/stages.ts";
import type { Task } from "../tasks/task.ts";

/** A guest that is being made. Its vmid is final when its task has ended. */
export interface NewGuest {
  readonly type: GuestType;
  readonly vmid: number;
  readonly node: string;
  readonly name: string;
}

/** What follows when the guest is there. */
export interface Step {
  /** `grows scsi0 to 32G` */
  readonly says: string;
  readonly request: (guest: NewGuest) => ChangeRequest;
  /** Whether all has failed when this fails; else it is only remarked. */
  readonly essential: boolean;
  /** Whether somebody else has taken it already, so that its failure is none. */
  readonly done?: (config: GuestConfig) => boolean;
  /** What the guest has only afterwards, for whoever has to see to it by hand. */
  readonly lacks: string;
  /** What is left to do where it has failed. */
  readonly mend?: (guest: NewGuest) => string;
  /** The state that it leaves behind. */
  readonly leaves?: string;
}

/** All that is known of a guest before anything is sent. */
export interface Blueprint {
  readonly type: GuestType;
  readonly name: string;
  /** The lowest free one when absent. */
  readonly vmid?: number | undefined;
  readonly node: string;
  /** Why there; absent where the node was named. */
  readonly placement?: string | undefined;
  /** It has come to nothing: its place is free again. */
  readonly release?: (() => void) | undefined;
  readonly params: Params;
  /** Parameters that no plan and no message shows. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly fetch?: Fetch | undefined;
  readonly steps: readonly Step[];
  /** What PVE will refuse it for, for a plan. */
  readonly against?: readonly Problem[];
  /** The same call goes on with what is there. */
  readonly resumes?: boolean;
  /** An equal call elsewhere was faster: goes on with what that has made. */
  readonly instead?: (call: Call) => Promise<Made | undefined>;
}

/** A guest that was planned or begun; `guest.vmid` is read when its task has settled. */
export interface Made {
  /** Vmid and node are absent as long as it is not known which guest it will be. */
  readonly guest: Pick<NewGuest, "type" | "name"> & {
    readonly vmid?: number | undefined;
    readonly node?: string | undefined;
  };
  readonly placement?: string | undefined;
  readonly says: string;
  /** Everything that would be sent, in its order, secrets hidden. */
  readonly requests: readonly ChangeRequest[];
  /** Absent where only a plan was wanted, or nothing is left to do. */
  readonly task?: Task;
  /** It is there already, as it was wished for. */
  readonly already?: true;
  /** The file that is there from an earlier call and used again. */
  readonly reuses?: string;
  /** Why a plan would be refused. */
  readonly against?: readonly Problem[];
}

/** A blueprint with the vmid that it has at the moment. */
export class Draft {
  readonly blueprint: Blueprint;
  readonly node: string;
  readonly stages: Stages;
  vmid: number;
  tries = 0;
  /** What has become of it where an equal call elsewhere was faster. */
  other: Made | undefined;

  constructor(blueprint: Blueprint, vmid: number) {
    this.blueprint = blueprint;
    this.node = blueprint.node;
    this.vmid = vmid;
    const count = blueprint.steps.length + (blueprint.fetch ? 2 : 1);
    this.stages = new Stages(count, blueprint.fetch?.says ?? this.title);
  }

  get title(): string {
    const { type, name } = this.blueprint;
    return `creates ${guestWords({ type, vmid: this.vmid }, name)} on ${this.node}`;
  }

  now(): NewGuest {
    const { type, name } = this.blueprint;
    return { type, name, vmid: this.vmid, node: this.node };
  }

  request(): ChangeRequest {
    const { type, params, secrets } = this.blueprint;
    return {
      method: "POST",
      path: path`/nodes/${this.node}/${type}`,
      params: { vmid: this.vmid, ...params, ...secrets },
      secrets: Object.values(secrets),
    };
  }

  made(): Made {
    const draft = this;
    const { type, name, placement, fetch, steps, secrets, against = [] } = this.blueprint;
    const guest = {
      type,
      name,
      get node() {
        return draft.other ? draft.other.guest.node : draft.node;
      },
      get vmid() {
        return draft.other ? draft.other.guest.vmid : draft.vmid;
      },
    };
    const hidden = Object.fromEntries(Object.keys(secrets).map((key) => [key, "(hidden)"]));
    const own = this.request();
    const shown = { ...own, params: { ...own.params, ...hidden } };
    const then = steps.map((step) => step.request(this.now()));
    return {
      guest,
      placement,
      against,
      says: [fetch?.says, this.title, ...steps.map(({ says }) => says)]
        .filter((text) => text !== undefined)
        .join(", then "),
      requests: [...(fetch ? [fetch.request] : []), shown, ...then],
    };
  }
}

/** Starts the guest when it is ready; failing, it is there all the same. PVE: POST …/status/start */
export const start: Step = {
  says: "starts it",
  lacks: "its start (start_guest)",
  mend: ({ vmid }) =>
    `. Mend that with update_guest {guest: "${vmid}", set: …}, then start_guest {guest: "${vmid}"}`,
  essential: false,
  leaves: "running",
  request: ({ node, type, vmid }) => ({
    method: "POST",
    path: path`/nodes/${node}/${type}/${vmid}/status/start`,
  }),
};

/** PVE: PUT …/resize; a disk that has that size already is left alone, none is ever made smaller. */
export function grow(disk: string, size: string): Step {
  return {
    says: `grows ${disk} to ${size}`,
    lacks: `the size of ${disk} (resize_disk)`,
    essential: false,
    request: ({ node, type, vmid }) => ({
      method: "PUT",
      path: path`/nodes/${node}/${type}/${vmid}/resize`,
      params: { disk, size },
    }),
  };
}

/** PVE: POST …/template; there is no way back. */
export const convert: Step = {
  says: "turns it into a template",
  done: ({ template }) => template,
  lacks: "its conversion (convert_to_template)",
  essential: true,
  request: ({ node, type, vmid }) => ({
    method: "POST",
    path: path`/nodes/${node}/${type}/${vmid}/template`,
  }),
};
