import { Mutex } from "async-mutex";
import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh } from "../api/freshness.ts";
import { guestWords, number } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "./lookup.ts";

/**
 * Hands out free vmids. PVE's nextid reserves nothing, and a clone takes its vmid only when its worker runs, so what we have
 * handed out is remembered until it is in use or given back. PVE: GET /cluster/nextid
 */
export class VmidPool {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #taken = new Set<number>();
  /** vmids of guests that may have been begun → until when that may still be, in ms. */
  readonly #doubtful = new Map<number, number>();
  readonly #mutex = new Mutex();

  constructor(verbs: Verbs, lookup: Lookup) {
    this.#verbs = verbs;
    this.#lookup = lookup;
  }

  /** The wished vmid if it is free (`conflict` if not), else the lowest free one. */
  async take(wished: number | undefined, call: Call): Promise<number> {
    return this.#mutex.runExclusive(async () => {
      if (wished === undefined) return this.#next(call);
      await this.#assertFree(wished, call);
      this.#taken.add(wished);
      return wished;
    });
  }

  /** In use, or not needed after all. */
  free(vmid: number): void {
    this.#taken.delete(vmid);
  }

  /** Whether it is in use can't be told: until then it is not handed out, afterwards rows tell. */
  doubt(vmid: number, until: number): void {
    this.#doubtful.set(vmid, until);
  }

  async #next(call: Call): Promise<number> {
    const answer = await this.#verbs.live(call, {
      path: path`/cluster/nextid`,
      freshness: fresh("never"),
      parse: number,
    });
    if (answer === undefined) {
      throw new Problem("upstream", "Proxmox named no free vmid.", {
        next: "Give a vmid yourself.",
      });
    }
    const inventory = await this.#lookup.inventory(call);
    let vmid = answer;
    while (
      this.#isTaken(vmid) ||
      (vmid !== answer && this.#lookup.rowOf(vmid, inventory) !== undefined)
    )
      vmid++;
    this.#taken.add(vmid);
    return vmid;
  }

  async #assertFree(vmid: number, call: Call): Promise<void> {
    const inventory = await this.#lookup.inventory(call);
    const row = this.#lookup.rowOf(vmid, inventory);
    if (!row && !this.#isTaken(vmid)) return;
    const whose = row
      ? `by ${guestWords(row, this.#lookup.names.nameOf(row, inventory))} on ${row.node}`
      : "by a guest that is being made right now";
    throw new Problem("conflict", `vmid ${vmid} is taken ${whose}. Nothing was sent.`, {
      next: "Choose another vmid, or leave vmid out to get the next free one.",
      facts: { vmid },
    });
  }

  #isTaken(vmid: number): boolean {
    const now = this.#verbs.clock.now();
    for (const [doubtful, until] of this.#doubtful) {
      if (until <= now) this.#doubtful.delete(doubtful);
    }
    return this.#taken.has(vmid) || this.#doubtful.has(vmid);
  }
}
