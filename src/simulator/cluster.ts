import type { Clock } from "../clock.ts";
import { ClusterLog } from "./cluster-log.ts";
import { Events } from "./events.ts";
import { FileLocks } from "./file-locks.ts";
import { privilegesOf, type Version } from "./roles.ts";
import { Stats } from "./stats.ts";
import { Tasks } from "./tasks.ts";
import type { Upload } from "./upload-body.ts";
import type { World } from "./world.ts";

/** The running cluster: the world and everything that moves it. Routes and the outside hand work on this. */
export class Cluster {
  readonly world: World;
  readonly clock: Clock;
  readonly random: () => number;
  readonly version: Version;
  readonly events = new Events();
  readonly log = new ClusterLog();
  readonly locks = new FileLocks();
  readonly tasks: Tasks;
  readonly stats: Stats;
  /** What was uploaded and lies in /var/tmp, by its name there. */
  readonly uploads = new Map<string, Upload>();
  #now: number;

  constructor(parts: {
    world: World;
    clock: Clock;
    random: () => number;
    version: Version;
    workers: number;
  }) {
    this.world = parts.world;
    this.clock = parts.clock;
    this.random = parts.random;
    this.version = parts.version;
    this.#now = parts.clock.now();
    for (const [name, privileges] of this.world.roles) {
      this.world.roles.set(name, privilegesOf(this.version, privileges));
    }
    const { events, log } = this;
    this.tasks = new Tasks({ events, log, nodes: this.world.nodes, now: () => this.#now });
    this.stats = new Stats(this.world, parts.workers);
    this.stats.catchUp(this.#now);
  }

  /** Milliseconds since the epoch, as of the event or request that is being dealt with. */
  get now(): number {
    return this.#now;
  }

  /** The host that answers: the first one that is up. */
  get host(): string {
    for (const node of this.world.nodes.values()) if (node.online) return node.name;
    return "localhost";
  }

  /** Lets everything happen that is due; first thing in every request and every outside change. */
  catchUp(): void {
    const until = Math.max(this.clock.now(), this.#now);
    for (let event = this.events.take(until); event; event = this.events.take(until)) {
      this.#now = Math.max(this.#now, event.at);
      this.stats.catchUp(this.#now);
      event.run();
    }
    this.#now = until;
    this.stats.catchUp(until);
  }

  /** A request waits inside the host while the world goes on. */
  async wait(ms: number): Promise<void> {
    await this.clock.sleep(ms);
    this.catchUp();
  }
}
