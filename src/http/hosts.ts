import { isTrustFault } from "./retry.ts";
import {
  type HostTrust,
  type Transport,
  WireFault,
  type WireReply,
  type WireRequest,
} from "./transport.ts";

/** One way into the cluster. */
export interface Host {
  readonly name: string;
  readonly transport: Transport;
}

/**
 * The hosts of one cluster, of which one is used until it cannot be reached: what was written through a host is seen at once
 * through the same host only (pmxcfs replicates a moment later).
 */
export class Hosts {
  readonly #hosts: readonly Host[];
  #current = 0;

  constructor(hosts: readonly Host[]) {
    if (hosts.length === 0) throw new TypeError("a connection needs a host");
    this.#hosts = hosts;
  }

  /** The name of the host in use. */
  get name(): string {
    return this.#at(this.#current).name;
  }

  get names(): readonly string[] {
    return this.#hosts.map((host) => host.name);
  }

  /** How the hosts are judged, each by its own. */
  get trusts(): readonly HostTrust[] {
    return this.#hosts.flatMap(({ transport }) => transport.trust ?? []);
  }

  /** How the host of that name is judged. */
  trustOf(name: string): HostTrust | undefined {
    return this.#hosts.find((host) => host.name === name)?.transport.trust;
  }

  /**
   * Sends through the host in use; if the request provably did not leave, through the next, each host once at most.
   * Throws what the last one threw. A certificate that is not trusted ends it at once.
   */
  async send(request: WireRequest): Promise<WireReply> {
    for (let tried = 1; ; tried++) {
      const used = this.#current;
      try {
        return await this.#at(used).transport.send(request);
      } catch (error) {
        if (!(error instanceof WireFault) || error.sent || isTrustFault(error)) throw error;
        // Others that fail at the same time have moved on already: one step for all of them.
        if (this.#current === used) this.#current = (used + 1) % this.#hosts.length;
        if (tried >= this.#hosts.length || request.signal?.aborted) throw error;
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.transport.close()));
  }

  #at(index: number): Host {
    const host = this.#hosts[index];
    if (!host) throw new RangeError(`no host ${index}`);
    return host;
  }
}
