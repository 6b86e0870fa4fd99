import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import { guestWords } from "../api/values.ts";
import type { ChangeRequest, Verbs } from "../api/verbs.ts";
import type { Inventory } from "../cluster/inventory.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { Plan } from "../tasks/plan.ts";
import { succeeded, type Task } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { Turns } from "../tasks/turns.ts";
import { type Changed, type ChangeOptions, type Changes, lockedBy } from "./changes.ts";
import type { Identified } from "./identity.ts";
import { bound, isRunning } from "./migration-bounds.ts";
import { type Conditions, conditionsOf } from "./migration-conditions.ts";
import { memoryNeeded, targetFor, type Wish } from "./migration-target.ts";

export interface MigrationOptions extends Omit<ChangeOptions, "confirm">, Wish {
  /** How many guests move at the same time, whichever call began it. */
  readonly atOnce: number;
  /** Until when to wait for one's turn, as clock time in ms. */
  readonly until: number;
  /** What a dry run has planned so far: the memory that is taken by then. */
  readonly planned?: Planned[];
}

interface Planned {
  readonly target: string;
  readonly bytes: number;
}

export interface Migration extends Changed<Identified> {
  readonly target: string;
}

interface Move extends Planned {
  readonly storage: string | undefined;
  /** From then on the figures of its node show it, in ms. */
  until: number;
}

const types = ["qmigrate", "vzmigrate", "hamigrate"];
/** Of the whole cluster: all share its network. */
const lane = "";
/** Nodes publish their figures every 10 s, and they are trusted for as long. */
const figuresLagMs = 30_000;

/** Moving guests from node to node. PVE: POST /nodes/{node}/{qemu|lxc}/{vmid}/migrate */
export class Migrations {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #changes: Changes;
  readonly #tasks: Tasks;
  readonly #turns: Turns;
  /** What is on its way or has just come, by UPID, and what is about to be sent, by vmid. */
  readonly #moves = new Map<string, Move>();

  constructor(base: {
    readonly verbs: Verbs;
    readonly lookup: Lookup;
    readonly changes: Changes;
    readonly tasks: Tasks;
  }) {
    this.#verbs = base.verbs;
    this.#lookup = base.lookup;
    this.#changes = base.changes;
    this.#tasks = base.tasks;
    this.#turns = new Turns(base.verbs.clock);
  }

  /** References to all guests of a node, as they are now. Throws `not_found`. */
  async guestsOn(node: string, call: Call): Promise<readonly string[]> {
    const inventory = await this.#lookup.liveInventory(call);
    if (!inventory.nodes.has(node)) {
      throw new Problem("not_found", `There is no node "${node}".`, {
        next: `Use one of ${[...inventory.nodes.keys()].sort().slice(0, 20).join(", ")}.`,
        facts: { argument: "from_node", node },
      });
    }
    const rows = this.#lookup.rows(inventory).filter((row) => row.node === node);
    return rows.map(({ type, vmid }) => `${type}/${vmid}`);
  }

  /**
   * Moves one guest: a running VM live, a running container by stopping and starting it. Throws `conflict` where something binds it
   * to its node or the target does not take it, `locked`, and `busy` where its turn has not come in time.
   */
  async migrate(reference: string, call: Call, options: MigrationOptions): Promise<Migration> {
    const turn = {
      ...options,
      others: () => "guests are on their way",
      late: () => waiting(reference, options.atOnce),
    };
    // Identified, and its target chosen, anew when its turn comes.
    return this.#turns.run(
      turn,
      call,
      (take) => this.#once(reference, call, options, () => take(lane)),
      ({ task, plan }) => task !== undefined && plan.join === undefined,
    );
  }

  async #once(
    reference: string,
    call: Call,
    options: MigrationOptions,
    take: () => void,
  ): Promise<Migration> {
    let target = "";
    let planning = "";
    const plan = async (guest: Identified): Promise<Plan> => {
      const joined = this.#joinable(guest, options);
      if (joined || guest.node === options.target) {
        target = this.#moves.get(joined?.upid ?? "")?.target ?? guest.node;
        const says = `moves ${words(guest)} to ${target}`;
        return { says, against: [], touches: [], join: joined };
      }
      const [locked] = lockedBy(guest);
      if (locked) throw locked;
      const conditions = await conditionsOf(guest, this.#verbs, call);
      const inventory = await this.#lookup.inventory(call);
      const incoming = (node: string) => this.#incoming(node, options.planned);
      target = targetFor(guest, options, conditions, inventory, incoming);
      planning = `vmid ${guest.vmid}`;
      const bytes = memoryNeeded(guest);
      const move = { target, bytes, storage: options.storage, until: Number.POSITIVE_INFINITY };
      this.#moves.set(planning, move);
      return this.#plan(guest, target, options, { conditions, inventory });
    };
    const change = { reference, kind: "any" as const, state: true, plan };
    const { dryRun } = options;
    try {
      const changed = await this.#changes.run(change, call, { dryRun, confirm: take });
      this.#note(changed.task?.upid, this.#moves.get(planning), options.planned);
      return { ...changed, target };
    } finally {
      this.#moves.delete(planning);
    }
  }

  #note(upid: string | undefined, move: Move | undefined, planned: Planned[] | undefined): void {
    if (!move) return;
    if (upid === undefined) planned?.push(move);
    else this.#moves.set(upid, move);
  }

  /** A move of ours under way that is what this order wants; throws `busy` where it is not. */
  #joinable(guest: Identified, { target, storage }: Wish): Task | undefined {
    const task = this.#tasks.runningTask(tags.guest(guest), ...types);
    if (!task) return undefined;
    const move = this.#moves.get(task.upid);
    const same = target === undefined || move?.target === target;
    if (same && move?.storage === storage) return task;
    throw onItsWay(guest, task.upid, move);
  }

  #plan(
    guest: Identified,
    target: string,
    { storage }: Wish,
    { conditions, inventory }: { readonly conditions: Conditions; readonly inventory: Inventory },
  ): Plan {
    const running = isRunning(guest);
    const way = running ? (guest.type === "qemu" ? "live" : "stopping and starting it") : "";
    const disks = conditions.localDisks.length > 0 ? "with its local disks" : "";
    const how = [way, disks].filter((word) => word !== "").join(", ");
    const storages = guest.config.disks.flatMap((disk) => disk.storage ?? []);
    const contents = [...new Set(storage === undefined ? storages : [...storages, storage])];
    return {
      says: `moves ${words(guest)} to ${target}${how === "" ? "" : `, ${how}`}`,
      against: bound(guest, conditions, inventory),
      touches: [tags.guest(guest), tags.tasks, ...contents.map((one) => tags.storageContent(one))],
      request: requestFor(guest, target, storage, conditions),
      follow: {
        onEnd: (report) => {
          this.#turns.free(lane);
          const move = this.#moves.get(report.upid);
          if (move) move.until = this.#verbs.clock.now() + figuresLagMs;
          // HA has only taken the request: where the guest is, rows tell.
          if (!succeeded(report) || report.type.startsWith("ha")) return [tags.row(guest)];
          const status = running ? (guest.status?.status ?? "running") : "stopped";
          this.#lookup.overlay.set(guest, { node: target, status });
          return [];
        },
      },
    };
  }

  #incoming(node: string, planned: readonly Planned[] = []): number {
    const now = this.#verbs.clock.now();
    let sum = planned
      .filter(({ target }) => target === node)
      .reduce((total, { bytes }) => total + bytes, 0);
    for (const [upid, { target, bytes, until }] of this.#moves) {
      if (until < now) this.#moves.delete(upid);
      else if (target === node) sum += bytes;
    }
    return sum;
  }
}

function requestFor(
  guest: Identified,
  target: string,
  storage: string | undefined,
  { localDisks }: Conditions,
): ChangeRequest {
  const running = isRunning(guest) || undefined;
  const { node, type, vmid } = guest;
  return {
    method: "POST",
    path: path`/nodes/${node}/${type}/${vmid}/migrate`,
    params:
      type === "qemu"
        ? {
            target,
            online: running,
            "with-local-disks": (running && localDisks.length > 0) || undefined,
            targetstorage: storage,
          }
        : { target, restart: running, "target-storage": storage },
  };
}

function words(guest: Identified): string {
  return `${guestWords(guest, guest.name)} on ${guest.node}`;
}

function onItsWay(guest: Identified, upid: string, move: Move | undefined): Problem {
  const { vmid, type, node } = guest;
  const to = move ? ` to ${move.target}${move.storage ? ` (${move.storage})` : ""}` : "";
  return new Problem("busy", `${words(guest)} is on its way${to} by another order already.`, {
    next: `Wait for it with get_tasks {upid: "${upid}", wait_s: 60}, then try again.`,
    facts: { vmid, type, node, upid, ...(move && { target: move.target }) },
  });
}

function waiting(reference: string, atOnce: number): Problem {
  const message = `The turn of ${reference} has not come: ${atOnce} guests are on their way already. Nothing was sent for it.`;
  return new Problem("busy", message, {
    next: "Repeat the call when they have arrived, or with a longer wait_s: what has moved is left alone.",
    facts: { guest: reference, at_once: atOnce },
  });
}
