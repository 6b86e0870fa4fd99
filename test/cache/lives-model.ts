import { Host, them } from "./scheduled.ts";

/** What a guest was, from a moment on; `name` is undefined while there is none. */
export interface State {
  readonly at: number;
  readonly name: string | undefined;
  readonly status: string;
  /** Stands in its configuration: a start applies what was pending and takes a lock away, which no row tells of. */
  readonly edition: number;
}

export const roundMs = 10_000;

/** VM 101, which comes, goes and is switched; the figures of its row are those of the last round, also a dead guest's. */
export class Model extends Host {
  readonly states: State[] = [{ at: 0, name: "guest-0", status: "stopped", edition: 1 }];
  readonly #work = new Map<string, string>();
  #born = 0;
  /** Whether the next destruction fails. */
  fails = false;

  get now(): State {
    return this.states.at(-1) as State; // there is always a first one
  }

  /** The index of the state that was there at this time. */
  indexAt(time: number): number {
    return Math.max(
      0,
      this.states.findLastIndex(({ at }) => at <= time),
    );
  }

  become(change: Partial<State>): void {
    this.states.push({ ...this.now, ...change, at: this.clock.now() });
  }

  /** Others do it, with a task that is over at once, or without any trace. */
  others(verb: "start" | "stop" | "destroy" | "create", trace = true): void {
    const { name } = this.now;
    if ((verb === "create") !== (name === undefined) || this.#work.size > 0) return;
    if (trace) this.end(this.begin(`qm${verb}`, them));
    if (verb === "create") this.become({ name: `guest-${++this.#born}`, status: "stopped" });
    else if (verb === "destroy") this.become({ name: undefined });
    else this.#switch(verb);
  }

  #switch(verb: string): void {
    if (verb === "start") this.become({ status: "running", edition: this.now.edition + 1 });
    else this.become({ status: "stopped" });
  }

  endTasks(): void {
    for (const [upid, verb] of this.#work) {
      this.#work.delete(upid);
      const fails = this.now.name === undefined || (verb === "destroy" && this.fails);
      if (!fails && verb === "destroy") this.become({ name: undefined });
      else if (!fails) this.#switch(verb);
      this.end(upid, fails ? "it would not" : "OK");
    }
  }

  protected change(method: string, where: string): string | undefined {
    if (this.now.name === undefined) return undefined;
    const verb = method === "DELETE" ? "destroy" : where.endsWith("start") ? "start" : "stop";
    const upid = this.begin(`qm${verb}`);
    this.#work.set(upid, verb);
    return upid;
  }

  protected read(where: string): unknown {
    if (where === "/cluster/resources") return this.#rows();
    const { name, status, edition } = this.now;
    if (name === undefined) return undefined;
    return where.endsWith("/config")
      ? { name, digest: "x", memory: edition }
      : { status, qmpstatus: status };
  }

  #rows(): readonly unknown[] {
    const node = { id: "node/pve1", type: "node", node: "pve1", status: "online" };
    if (this.now.name === undefined) return [node];
    const round = Math.floor(this.clock.now() / roundMs) * roundMs;
    const [state] = this.figuresAt(this.states[this.indexAt(round)]);
    const figures = state ? { name: state.name, status: state.status } : { status: "unknown" };
    return [node, { id: "qemu/101", type: "qemu", vmid: 101, node: "pve1", ...figures }];
  }

  /** Nobody takes a dead guest's figures away: whoever has its vmid carries them until the next round. None from before `first`. */
  figuresAt(state: State | undefined, first = 0): readonly State[] {
    const known = this.states.slice(first, state ? this.states.indexOf(state) + 1 : undefined);
    return known.filter(({ name }) => name !== undefined).slice(-1);
  }
}
