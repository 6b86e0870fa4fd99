import { path, rest } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import { closest, followedBy } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { Exclusive } from "../tasks/exclusive.ts";
import type { Plan } from "../tasks/plan.ts";
import type { Task } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { lookAtStorage } from "./lost-answers.ts";
import type { Content, Storages, Unasked } from "./storages.ts";
import { type Uses, VolumeUse } from "./volume-use.ts";
import { storageOf, type Volume } from "./volumes.ts";

export interface VolumeDeletionOptions {
  readonly node?: string | undefined;
  readonly dryRun?: boolean | undefined;
  /** Asked when everything is known; `unchecked` is what nobody could look at. Throws to refuse. */
  readonly confirm: (volume: Volume, unchecked: readonly string[]) => Promise<void> | void;
}

export interface VolumeDeletion {
  readonly volume: Volume;
  readonly plan: Plan;
  readonly unchecked: readonly string[];
  readonly changed: boolean;
  /** Absent where Proxmox has done it at once. */
  readonly task?: Task;
}

/**
 * Deleting what a storage holds. Proxmox answers OK for what is not there and deletes the disk of a running guest: here is the
 * only place where anybody looks. PVE: DELETE /nodes/{node}/storage/{storage}/content/{volume}
 */
export class VolumeDeletions {
  readonly #verbs: Verbs;
  readonly #storages: Storages;
  readonly #tasks: Tasks;
  readonly #use: VolumeUse;
  /** By volid. */
  readonly #exclusive = new Exclusive<string>();
  /** Deletions whose task still runs. */
  readonly #running = new Set<VolumeDeletion>();

  constructor(verbs: Verbs, lookup: Lookup, storages: Storages, tasks: Tasks) {
    this.#verbs = verbs;
    this.#storages = storages;
    this.#tasks = tasks;
    this.#use = new VolumeUse(verbs, lookup);
  }

  /**
   * Throws `invalid_input` for what is no volid, `not_found` where no node lists it, `ambiguous` where several have it, `conflict`
   * where it is protected or in use. One at a time for each volume; the task of an equal call that still runs is joined.
   */
  async delete(volid: string, call: Call, options: VolumeDeletionOptions): Promise<VolumeDeletion> {
    const storage = storageOf(volid);
    if (storage === undefined) throw noVolid(volid);
    return this.#exclusive.run(volid, async () => {
      const same = options.dryRun
        ? undefined
        : await this.#same(volid, storage, options.node, call);
      if (!same) return this.#delete(volid, storage, call, options);
      await options.confirm(same.volume, same.unchecked);
      return same;
    });
  }

  /** What is under way already. Looks first whether it has ended meanwhile. */
  async #same(
    volid: string,
    storage: string,
    node: string | undefined,
    call: Call,
  ): Promise<VolumeDeletion | undefined> {
    const find = () =>
      [...this.#running].find(
        ({ volume }) =>
          volume.volid === volid && (node === undefined || volume.shared || volume.node === node),
      );
    if (find()) await this.#tasks.look(tags.storageContent(storage), call);
    return find();
  }

  async #delete(
    volid: string,
    storage: string,
    call: Call,
    options: VolumeDeletionOptions,
  ): Promise<VolumeDeletion> {
    const { volumes, unasked } = await this.#content(storage, options.node, call);
    const volume = theOne(volid, volumes, unasked);
    const siblings = volumes.filter((other) => other.node === volume.node);
    const uses = await this.#use.of(volume, siblings, call);
    const plan = planOf(volume, uses);
    const { unchecked } = uses;
    if (options.dryRun) return { volume, plan, unchecked, changed: false };
    if (plan.against[0]) throw plan.against[0];
    await options.confirm(volume, unchecked);
    return this.#send({ volume, plan, unchecked, changed: true }, call);
  }

  async #content(storage: string, node: string | undefined, call: Call): Promise<Content> {
    try {
      return await this.#storages.content(storage, { node, live: true }, call);
    } catch (error) {
      throw isProblem(error, "conflict", "unreachable", "timeout") ? notNow(error, storage) : error;
    }
  }

  /** Proxmox answers with a task, or with null when it was quick. */
  async #send(planned: VolumeDeletion, call: Call): Promise<VolumeDeletion> {
    const { request, touches } = planned.plan;
    if (!request) throw new TypeError("a deletion is planned with its request");
    try {
      const answer = await this.#verbs.change(call, request, touches);
      if (answer === null) return planned;
      const onEnd = () => {
        this.#running.delete(begun);
        return undefined;
      };
      const task = this.#tasks.follow(answer, { touches, onEnd });
      const begun = { ...planned, task };
      this.#running.add(begun);
      return begun;
    } catch (error) {
      throw lookAtStorage(error, planned.volume);
    }
  }
}

function planOf(volume: Volume, { by: uses, next = unuse }: Uses): Plan {
  const { volid, storage, node } = volume;
  const facts = { volid, node };
  const against = [
    ...(volume.protected ? [conflict(`${volid} is protected`, unprotect(volume), facts)] : []),
    ...(uses.length > 0 ? [conflict(usedWords(volid, uses), next, { ...facts, uses })] : []),
  ];
  return {
    says: `deletes ${volid} on ${node}`,
    against,
    touches: [tags.storageContent(storage), tags.tasks],
    request: {
      method: "DELETE",
      path: path`/nodes/${node}/storage/${storage}/content/${rest(volid)}`,
    },
  };
}

/** No tool of ours does. */
function unprotect({ volid, storage, node }: Volume): string {
  return `If it really is to go, have an administrator take its protection off: in the web interface, or on a host with \`pvesh set /nodes/${node}/storage/${storage}/content/${volid} --protected 0\`; then repeat the call.`;
}

const unuse = "Take it out of there first: Proxmox itself would delete it without asking.";

function usedWords(volid: string, uses: readonly string[]): string {
  const more = uses.length > 5 ? ` and ${uses.length - 5} more` : "";
  return `${volid} is in use: ${uses.slice(0, 5).join("; ")}${more}`;
}

function conflict(what: string, next: string, facts: Problem["facts"]): Problem {
  return new Problem("conflict", `${what}. Nothing was sent.`, { next, facts });
}

function theOne(volid: string, volumes: readonly Volume[], unasked: readonly Unasked[]): Volume {
  const [found, ...others] = volumes.filter((volume) => volume.volid === volid);
  if (!found) throw notThere(volid, volumes, unasked);
  if (others.length === 0) return found;
  const nodes = [found, ...others].map((volume) => volume.node).sort();
  throw new Problem("ambiguous", `${volid} is on each of ${nodes.join(", ")}: different files.`, {
    next: "Name the node that is meant as node.",
    facts: { volid, nodes },
  });
}

function notThere(volid: string, volumes: readonly Volume[], unasked: readonly Unasked[]): Problem {
  const names = volumes.map((volume) => volume.volid);
  const near = closest(volid, names, 3);
  const hints = [
    ...(near.length > 0 ? [`Closest: ${near.join(", ")}.`] : []),
    ...(unasked.length > 0
      ? [`Could not be asked: ${unasked.map(({ node }) => node).join(", ")}.`]
      : []),
  ];
  return new Problem("not_found", [`No node lists ${volid}.`, ...hints].join(" "), {
    next: `See what is there with list_storage {storage: "${storageOf(volid) ?? ""}"}; what these credentials may not use is not listed.`,
    facts: { volid, closest: near, unasked: unasked.map(({ node }) => node) },
  });
}

/** No other storage or node helps: this volume is where it is. */
function notNow({ kind, message, facts, cause }: Problem, storage: string): Problem {
  const said = message.endsWith("Nothing was sent.")
    ? message
    : followedBy(message, "Nothing was deleted.");
  return new Problem(kind, said, {
    next: `Try again when it answers: list_storage {storage: "${storage}", max_age_s: 0} shows that; a disabled storage has to be enabled, and a node to be back (get_cluster).`,
    facts: { ...facts, storage },
    cause,
  });
}

function noVolid(volume: string): Problem {
  const shown = volume.slice(0, 80);
  return new Problem("invalid_input", `"${shown}" is not a volume id.`, {
    next: "Give it as list_storage shows it: local:iso/debian.iso.",
    facts: { argument: "volume" },
  });
}
