import { isProblem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { GuestId, GuestType } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { isOffline } from "../cluster/inventory.ts";
import { configQuestion, type Lookup } from "../cluster/lookup.ts";
import { learnName } from "../cluster/names.ts";

/** A guest that another server with our credentials is creating. */
export interface Half extends GuestId {
  readonly node: string;
  /** Of the task that creates it. */
  readonly upid: string;
}

/**
 * Guests that are being created have neither name nor notes yet; only the user of their task tells that they may be of an equal
 * call. PVE: API2/Qemu.pm, API2/LXC.pm (create_vm: only `lock: create` is written before the worker has done)
 */
export class HalfMade {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #cluster: Cluster;
  /** The words of who we are, such as `token root@pam!mcp`. */
  readonly #principal: readonly string[];

  constructor(
    base: { readonly verbs: Verbs; readonly lookup: Lookup; readonly cluster: Cluster },
    principal: string,
  ) {
    this.#verbs = base.verbs;
    this.#lookup = base.lookup;
    this.#cluster = base.cluster;
    this.#principal = principal.split(" ");
  }

  /** The first that is under way and of which nobody here knows the name. */
  async find(type: GuestType, call: Call): Promise<Half | undefined> {
    const inventory = await this.#lookup.inventory(call);
    const { names } = this.#lookup;
    const rows = this.#lookup
      .rows(inventory)
      .filter((row) => row.lock === "create" && row.type === type)
      .filter((row) => names.nameOf(row, inventory) === undefined)
      .filter((row) => !isOffline(inventory, row.node));
    const creation = type === "qemu" ? "qmcreate" : "vzcreate";
    for (const { node, vmid } of rows) {
      const tasks = await this.#cluster.nodeTasks(node, { vmid, limit: 5 }, call);
      const own = tasks.find(
        (task) =>
          task.type === creation &&
          task.endedAt === undefined &&
          this.#principal.includes(task.user),
      );
      if (own) return { type, vmid, node, upid: own.upid };
    }
    return undefined;
  }

  /** Its creation has ended: asks for its name, which its row shows later. It may have come to nothing. */
  async learn(half: Half, call: Call): Promise<void> {
    await this.#lookup.liveInventory(call);
    try {
      learnName(this.#lookup.names, half, await this.#verbs.live(call, configQuestion(half)));
    } catch (error) {
      if (!isProblem(error)) throw error;
    }
  }
}
