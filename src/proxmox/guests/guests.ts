import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { GuestConfig } from "../api/guest-config.ts";
import { type GuestKind, given } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { type GuestRow, type Inventory, isOffline } from "../cluster/inventory.ts";
import { configQuestion, isVmid, type Lookup } from "../cluster/lookup.ts";
import { type Found, learnName } from "../cluster/names.ts";
import type { SilentNode } from "../cluster/silence.ts";
import { rowSettlesMs } from "../tasks/activity.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type GuestStatus, statusQuestion } from "./guest-status.ts";
import { type Kept, RecentViews } from "./recent-views.ts";

/** Tasks that destroy guests. */
const destroyTypes = ["qmdestroy", "vzdestroy"];

/** One guest, laid together from its row, its configuration and, where the row can't be trusted, its live state. */
export interface GuestView {
  readonly row: GuestRow;
  readonly name: string | undefined;
  /** The truest state there is. */
  readonly status: string;
  readonly lock: string | undefined;
  readonly template: boolean;
  readonly tags: readonly string[];
  /** Absent where the node could not be asked. */
  readonly config: GuestConfig | undefined;
  readonly current: GuestStatus | undefined;
  /** The UPID of a running task of ours that changes this guest. */
  readonly upid: string | undefined;
  /** Its node, where only the row could be had. */
  readonly degraded: SilentNode | undefined;
}

export interface GuestFilter {
  /** A glob: `web-*`, `db?`; without regard to case. */
  readonly name?: string | undefined;
  readonly tag?: string | undefined;
  readonly pool?: string | undefined;
  readonly node?: string | undefined;
  readonly status?: string | undefined;
  readonly type?: "qemu" | "lxc" | undefined;
}

/** A row of a list: what /cluster/resources says, with the name to believe. */
export interface ListedGuest {
  readonly row: GuestRow;
  readonly name: string | undefined;
  readonly lock: string | undefined;
}

/** Reads guests, VMs and containers alike. */
export class Guests {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #tasks: Tasks;
  readonly #recent: RecentViews<GuestView>;

  constructor(verbs: Verbs, lookup: Lookup, tasks: Tasks) {
    this.#verbs = verbs;
    this.#recent = new RecentViews(verbs);
    this.#lookup = lookup;
    this.#tasks = tasks;
  }

  /**
   * One guest by name or vmid: two requests cold, one when the inventory is warm, none again; one more where its row can't be
   * trusted. A guest on a silent node is answered from its row. Throws `not_found`, `ambiguous`, `invalid_input` (other kind).
   */
  async view(reference: string, kind: GuestKind, call: Call): Promise<GuestView> {
    const key = `${kind} ${reference}`;
    const again = await this.#recent.again(key, call, (recent) => this.#isStill(recent, call));
    if (again) return again;
    const { version } = this.#lookup;
    const before = call.parts.length;
    const view = await this.#verbs.consistent(call, () => this.#compose(reference, kind, call, 2));
    this.#lookup.names.tell(view.row, view.name);
    // What stands on a row and a configuration alone can be checked without laying it together again.
    const plain = view.config && !view.current && version === this.#lookup.version;
    if (plain) this.#recent.keep(key, { view, version }, call.parts.slice(before));
    return view;
  }

  /** Whether laying it together from the same answers would make the same of them. */
  #isStill({ view, version }: Kept<GuestView>, call: Call): boolean {
    const { last, names, version: now } = this.#lookup;
    const { row } = view;
    if (version !== now || last?.byVmid.get(row.vmid) !== row) return false;
    if (this.#needsStatus(view, call) || this.#runningTask(row) !== undefined) return false;
    names.tell(row, view.name);
    return true;
  }

  /** The guests that match all of the filter, in the order of their vmids: one request for any number, then none. */
  async list(filter: GuestFilter, call: Call): Promise<readonly ListedGuest[]> {
    // A destruction of ours may have ended without our having looked: then the rows in memory show a guest that is gone. Equal questions
    // of the same moment are still one.
    const destroying = this.#tasks.anyRunning(...destroyTypes);
    const inventory = await this.#lookup.inventory(destroying ? call.within(0) : call);
    return this.#fitting(filter, inventory);
  }

  /** The same as far as it is in memory: no request. */
  known(filter: GuestFilter): readonly ListedGuest[] {
    const { last } = this.#lookup;
    return last ? this.#fitting(filter, last) : [];
  }

  #fitting(filter: GuestFilter, inventory: Inventory): readonly ListedGuest[] {
    const fits = matcher(filter);
    return this.#lookup
      .rows(inventory)
      .map((row) => this.#listed(row))
      .filter(fits);
  }

  /** Nodes of these guests that are silent: what the list says of them is what was last known. */
  silent(guests: readonly ListedGuest[]): readonly SilentNode[] {
    const { last, silence } = this.#lookup;
    return last ? silence.among(new Set(guests.map(({ row }) => row.node)), last) : [];
  }

  /** An answer shows these guests: later changes by vmid are held against what it says. */
  tell(guests: readonly ListedGuest[]): void {
    for (const { row, name } of guests) this.#lookup.names.tell(row, name);
  }

  async #compose(
    reference: string,
    kind: GuestKind,
    call: Call,
    tries: number,
  ): Promise<GuestView> {
    const found = await this.#lookup.guest(reference, kind, call);
    const { last } = this.#lookup;
    // The row shows what our own changes have made of the guest so far: a change meanwhile makes another one of it.
    call.note(await this.#verbs.cache.present([tags.guest(found.row)]));
    if (isOffline(last, found.row.node)) {
      return this.#fromRow(found, "offline");
    }
    try {
      const view = await this.#fromNode(found, reference, call);
      if (view) return view;
    } catch (error) {
      if (isProblem(error, "unreachable", "timeout")) {
        return this.#fromRow(found, "does not answer");
      }
      if (tries === 0 || !isMissing(error)) throw error;
      const pending = this.#lookup.overlay.expected(found.row.vmid);
      if (pending) return this.#fromRow({ row: pending, name: found.name }, undefined);
      await this.#verbs.cache.invalidate([tags.inventory, tags.guest(found.row)]);
    }
    if (tries === 0) {
      throw new Problem("busy", `"${reference}" keeps changing hands while it is looked up.`, {
        next: "Look again with list_guests.",
      });
    }
    // Moved, destroyed or renamed behind our back: look again with what is known now.
    return this.#compose(reference, kind, call, tries - 1);
  }

  /** Undefined where the guest turns out to have another name than it was looked up by. */
  async #fromNode(found: Found, reference: string, call: Call): Promise<GuestView | undefined> {
    const { row } = found;
    // While a task of ours works on it, its end may be noticed some seconds late: until then nothing is served from memory.
    const works = this.#runningTask(row) !== undefined;
    const asking = works ? call.within(0) : call;
    const [config, current] = await Promise.all([
      this.#verbs.observe(asking, configQuestion(row)),
      this.#needsStatus(found, call)
        ? this.#verbs.observe(asking, statusQuestion(row))
        : Promise.resolve(undefined),
    ]);
    learnName(this.#lookup.names, row, config);
    // What is seen while a task of ours works on it is over when that ends.
    if (current && !works) this.#lookup.overlay.saw(row, current.status, current.beganAt);
    const other =
      config.name !== undefined && config.name.toLowerCase() !== reference.toLowerCase();
    if (other && !isVmid(reference, row)) return undefined;
    return this.#lay(found, config, current);
  }

  #lay(found: Found, config: GuestConfig, current: GuestStatus | undefined): GuestView {
    const { row, name } = found;
    return {
      row,
      name: config.name ?? name,
      status: current?.status ?? row.status,
      lock: this.#isDying(row) ? "destroyed" : (config.lock ?? current?.lock),
      template: config.template,
      tags: config.tags,
      config,
      current,
      upid: this.#runningTask(row),
      degraded: undefined,
    };
  }

  /** `silent`: what keeps its node from being asked. */
  #fromRow({ row, name }: Found, silent: string | undefined): GuestView {
    const lastSeen = this.#lookup.silence.lastSeen(row.node);
    return {
      row,
      name,
      status: row.status,
      lock: this.#isDying(row) ? "destroyed" : row.lock,
      template: row.template,
      tags: row.tags,
      config: undefined,
      current: undefined,
      upid: this.#runningTask(row),
      degraded:
        silent === undefined
          ? undefined
          : { node: row.node, reason: silent, ...given({ lastSeen }) },
    };
  }

  #listed(row: GuestRow): ListedGuest {
    const { last, names } = this.#lookup;
    const dying = this.#isDying(row);
    // A row of it that has lost its name may be another's already: the end of a destruction is noticed late.
    const name = last && !dying ? names.nameOf(row, last) : row.name;
    return { row, name, lock: dying ? "destroyed" : row.lock };
  }

  #needsStatus({ row, name }: Found, call: Call): boolean {
    const { last, names } = this.#lookup;
    return (
      call.maxAgeMs === 0 ||
      row.status === "unknown" ||
      row.name === undefined ||
      name === undefined ||
      (last !== undefined && names.isDoubtful(row.vmid, last)) ||
      this.#tasks.isActive(tags.guest(row), rowSettlesMs)
    );
  }

  /** PVE sets this lock late in the destruction; for us it is gone as soon as that was accepted. */
  #isDying(row: GuestRow): boolean {
    return this.#tasks.running(tags.guest(row), ...destroyTypes) !== undefined;
  }

  #runningTask(row: GuestRow): string | undefined {
    return this.#tasks.running(tags.guest(row));
  }
}

/** PVE says the guest has no configuration on the node where it was looked for. */
export function isMissing(error: unknown): error is Problem {
  return isProblem(error, "not_found") && error.facts["missingConfig"] === true;
}

function matcher(filter: GuestFilter): (guest: ListedGuest) => boolean {
  const glob = filter.name?.toLowerCase();
  const tag = filter.tag?.toLowerCase();
  return ({ row, name }) =>
    (glob === undefined || matchesGlob((name ?? "").toLowerCase(), glob)) &&
    (tag === undefined || row.tags.some((own) => own.toLowerCase() === tag)) &&
    (filter.pool === undefined || row.pool === filter.pool) &&
    (filter.node === undefined || row.node === filter.node) &&
    (filter.status === undefined || row.status === filter.status) &&
    (filter.type === undefined || row.type === filter.type);
}

/** `*` is any text, `?` any one character. Goes back to the last star only, so no pattern can make it slow. */
export function matchesGlob(word: string, glob: string): boolean {
  let at = 0;
  let pattern = 0;
  let star = -1;
  let mark = 0;
  while (at < word.length) {
    if (glob[pattern] === "*") {
      star = pattern++;
      mark = at;
    } else if (glob[pattern] === "?" || glob[pattern] === word[at]) {
      pattern++;
      at++;
    } else if (star >= 0) {
      pattern = star + 1;
      at = ++mark;
    } else return false;
  }
  while (glob[pattern] === "*") pattern++;
  return pattern === glob.length;
}
