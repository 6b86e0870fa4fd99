import type { Transport, WireRequest } from "../../src/http/transport.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";

/** What a guest was called, from when on; undefined: it was not there. */
interface Known {
  readonly at: number;
  readonly name: string | undefined;
  readonly cores: string | undefined;
}

/** Renames within this time of a request are a race that nobody can win, in ms. */
const raceMs = 250;

/** Sees every request and every state of the world, and notes what must never happen. */
export class Witness {
  readonly faults: string[] = [];
  /** UPIDs that PVE has answered us with. */
  readonly begun = new Set<string>();
  /** Those of them that were seen ended. */
  readonly ended = new Set<string>();
  readonly #history = new Map<number, Known[]>();
  /** Names that calls under way mean to change. */
  readonly #meant: string[] = [];

  /** A call that changes the guest of this name is under way; answers what to call when it is over. */
  means(name: string): () => void {
    this.#meant.push(name);
    return () => void this.#meant.splice(this.#meant.indexOf(name), 1);
  }

  /** Looks at the world: called at every request and after every change from outside. */
  look({ world }: Simulator, now: number): void {
    for (const [vmid, { config }] of world.guests) {
      this.#note(vmid, { at: now, name: nameOf(config), cores: config["cores"] });
    }
    for (const vmid of this.#history.keys()) {
      if (!world.guests.has(vmid)) this.#note(vmid, { at: now, name: undefined, cores: undefined });
    }
  }

  /** Whether this guest had this name, and this number of cores, at some time from `since` on. */
  was(vmid: number, since: number, { name, cores }: Partial<Known>): boolean {
    const history = this.#history.get(vmid) ?? [];
    return history.some((known, index) => {
      const until = history[index + 1]?.at ?? Number.POSITIVE_INFINITY;
      const same = known.name === name && (cores === undefined || known.cores === cores);
      return same && until >= since;
    });
  }

  /** The wire with this witness beside it. */
  beside(simulator: Simulator, now: () => number): Transport {
    return {
      send: async (request) => {
        this.look(simulator, now());
        this.#judge(request, simulator, now());
        const reply = await simulator.send(request);
        this.#follow(request, reply.body);
        this.look(simulator, now());
        return reply;
      },
      close: () => simulator.close(),
    };
  }

  #judge(request: WireRequest, { world }: Simulator, now: number): void {
    if (request.method === "GET") return;
    const vmid = Number(/\/(?:qemu|lxc)\/([0-9]+)/.exec(request.path)?.[1]);
    const config = world.guests.get(vmid)?.config;
    if (config === undefined) return;
    const names = [...this.#meant, ...this.#namesSince(vmid, now - raceMs, config)];
    const name = nameOf(config);
    const what = `${request.method} ${request.path}`;
    // What we make is tagged and started after its making, when its call may be over.
    const ours = name?.startsWith("new-") || config["lock"] === "clone";
    const meant = this.#meant.some((one) => this.was(vmid, now - raceMs, { name: one }));
    if (!ours && !meant) this.faults.push(`${what} hit ${name}; meant were ${names.join(", ")}`);
  }

  #namesSince(vmid: number, since: number, config: Readonly<Record<string, string>>): string[] {
    const known = (this.#history.get(vmid) ?? []).filter(({ at }) => at >= since);
    return [nameOf(config) ?? "", ...known.map(({ name }) => name ?? "")];
  }

  #follow(request: WireRequest, body: string): void {
    const upid = /^\{"data":"(UPID:[^"]+)"/.exec(body)?.[1];
    if (request.method !== "GET" && upid !== undefined) this.begun.add(upid);
    const asked = /\/tasks\/(UPID[^/]+)\/status/.exec(decodeURIComponent(request.path))?.[1];
    if (asked !== undefined && body.includes('"status":"stopped"')) this.ended.add(asked);
  }

  #note(vmid: number, now: Known): void {
    const history = this.#history.get(vmid) ?? [];
    const last = history.at(-1);
    if (last && last.name === now.name && last.cores === now.cores) return;
    history.push(now);
    this.#history.set(vmid, history);
  }
}

/** The name in a configuration; half made guests have none. */
export function nameOf(config: Readonly<Record<string, string>>): string | undefined {
  return config["name"] ?? config["hostname"];
}
