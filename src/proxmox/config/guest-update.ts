import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import { defaultName, guestWords } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import {
  type Changed,
  type ChangeOptions,
  type Changes,
  conflict,
  lockedBy,
} from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import type { Plan } from "../tasks/plan.ts";
import { succeeded } from "../tasks/task.ts";
import { configChange, pendingKeys } from "./config-request.ts";
import { type OptionChanges, optionChanges, secretOptions, type Wanted } from "./option-changes.ts";
import { assertValues } from "./option-checks.ts";
import { digestConflict, explainUpdate } from "./update-refusals.ts";

export interface UpdateOptions extends ChangeOptions, Wanted {
  /** Of the configuration that the caller has seen: another one is a `conflict`. */
  readonly digest?: string | undefined;
}

/** One option's way: absent is not set. */
export interface OptionStep {
  readonly key: string;
  readonly from?: string;
  readonly to?: string;
}

export interface Updated extends Changed<Identified> {
  readonly steps: readonly OptionStep[];
}

/** Changing the options of guests. PVE: POST /nodes/{node}/qemu/{vmid}/config (a task), PUT …/lxc/{vmid}/config (at once) */
export class GuestUpdates {
  readonly #verbs: Verbs;
  readonly #changes: Changes;
  readonly #lookup: Lookup;

  constructor(verbs: Verbs, changes: Changes, lookup: Lookup) {
    this.#verbs = verbs;
    this.#changes = changes;
    this.#lookup = lookup;
  }

  /**
   * Sends all options that differ in one request, with the digest of what was read a moment ago. Throws what optionChanges throws,
   * `conflict` with the fresh digest and values where somebody else was faster, `locked`.
   */
  async update(reference: string, call: Call, options: UpdateOptions): Promise<Updated> {
    assertAny(options);
    let known: { guest: Identified; changes: OptionChanges } | undefined;
    const plan = async (guest: Identified) => {
      const changes = optionChanges(guest.type, guest.config.raw, options);
      assertValues(guest, changes.set);
      known = { guest, changes };
      const updating = this.#plan(guest, changes, options);
      const taken = await this.#taken(guest, changes, call);
      return { ...updating, against: [...updating.against, ...taken] };
    };
    try {
      const change = { reference, kind: "any" as const, state: false, plan };
      const { dryRun } = options;
      const changed = await this.#changes.run(change, call, { dryRun });
      // A container's new name is there already; a VM's comes with its task.
      if (changed.changed && known?.guest.type === "lxc")
        this.#renamed(changed.guest, known.changes);
      return { ...changed, steps: known ? stepsOf(known.guest, known.changes) : [] };
    } catch (error) {
      if (!known || !isProblem(error)) throw error;
      throw await explainUpdate(error, { ...known, takesDigest: true }, this.#verbs, call);
    }
  }

  /** What a failed task of an update means: what took effect all the same, or who was faster. */
  explain(problem: Problem, { guest, steps }: Updated, call: Call): Promise<Problem> {
    const set = Object.fromEntries(steps.map(({ key, to = "" }) => [key, to]));
    const changes = {
      set,
      remove: steps.filter(({ to }) => to === undefined).map(({ key }) => key),
    };
    return explainUpdate(problem, { guest, changes, takesDigest: true }, this.#verbs, call);
  }

  /** Options of the guest that wait for a restart. */
  pending(guest: Identified, call: Call): Promise<readonly string[]> {
    return pendingKeys(guest, this.#verbs, call);
  }

  #plan(guest: Identified, changes: OptionChanges, { digest }: UpdateOptions): Plan {
    const { node, config } = guest;
    const { set, remove } = changes;
    const keys = [...Object.keys(set), ...remove];
    const says = `${saysOf(changes)} of ${guestWords(guest, guest.name)} on ${node}`;
    if (keys.length === 0) return { says, against: [], touches: [] };
    const update = { guest, changes, takesDigest: true };
    const stale = digest !== undefined && digest !== config.digest;
    const secrets = secretOptions.flatMap((key) => set[key] ?? []);
    const params = { ...set, delete: remove.length > 0 ? remove.join(",") : undefined };
    return {
      says,
      against: [...(stale ? [digestConflict(update, config)] : []), ...lockedBy(guest)],
      touches: touchesOf(guest, keys),
      ...configChange(guest, params, secrets),
      follow: {
        onEnd: (report) => {
          if (succeeded(report) && guest.type === "qemu") this.#renamed(guest, changes);
          return [];
        },
      },
    };
  }

  /** Names stay unambiguous, as they do when guests are made. PVE itself takes any name twice. */
  async #taken(guest: Identified, { set }: OptionChanges, call: Call): Promise<readonly Problem[]> {
    const name = set["name"] ?? set["hostname"];
    if (name === undefined) return [];
    const inventory = await this.#lookup.inventory(call);
    const other = this.#lookup.rowsNamed(name, inventory).find((row) => row.vmid !== guest.vmid);
    if (!other) return [];
    const what = `can't be called "${name.slice(0, 100)}": ${guestWords(other)} on ${other.node} is called so already`;
    return [conflict(guest, what, "Choose another name, or rename that one first.")];
  }

  /** A rename of ours is no change of identity. */
  #renamed(guest: Identified, { set, remove }: OptionChanges): void {
    const key = guest.type === "qemu" ? "name" : "hostname";
    const name = set[key] ?? (remove.includes(key) ? defaultName(guest) : undefined);
    if (name === undefined) return;
    this.#lookup.names.learn(guest, name);
    this.#lookup.names.tell(guest, name);
  }
}

function assertAny({ set, unset }: Wanted): void {
  if (Object.keys(set).length + unset.length > 0) return;
  throw new Problem("invalid_input", "Give set or unset: there is nothing to change.", {
    next: 'Options to change: set: {"memory": 4096}. Options to remove: unset: ["net1"].',
    facts: { argument: "set" },
  });
}

/** Rows show names, tags and the template flag; volumes that come and go are content of their storage. */
function touchesOf(guest: Identified, keys: readonly string[]): readonly string[] {
  const shown = keys.some((key) => /^(?:name|hostname|tags)$/.test(key));
  const drives = keys.some((key) =>
    /^(?:(?:ide|sata|scsi|virtio|mp)\d+|efidisk0|tpmstate0)$/.test(key),
  );
  return [
    tags.guest(guest),
    tags.tasks,
    ...(shown ? [tags.row(guest)] : []),
    ...(drives ? [tags.anyContent] : []),
  ];
}

function saysOf({ set, remove }: OptionChanges): string {
  const parts = [
    ...(Object.keys(set).length > 0 ? [`sets ${Object.keys(set).join(", ")}`] : []),
    ...(remove.length > 0 ? [`removes ${remove.join(", ")}`] : []),
  ];
  return parts.length === 0 ? "changes nothing" : parts.join(" and ");
}

function stepsOf({ config }: Identified, { set, remove }: OptionChanges): readonly OptionStep[] {
  const shown = (key: string, value: string | undefined) =>
    value !== undefined && secretOptions.includes(key) ? "<hidden>" : value;
  const from = (key: string) => {
    const value = shown(key, config.raw[key]);
    return value === undefined ? {} : { from: value };
  };
  return [
    ...Object.entries(set).map(([key, value]) => ({
      key,
      ...from(key),
      to: shown(key, value) ?? "",
    })),
    ...remove.map((key) => ({ key, ...from(key) })),
  ];
}
