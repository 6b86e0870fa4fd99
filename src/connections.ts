import type { Clock } from "./clock.ts";
import type { Authenticator } from "./http/auth.ts";
import { ApiClient, type RequestEvent } from "./http/client.ts";
import type { Host } from "./http/hosts.ts";
import type { Ages } from "./proxmox/api/freshness.ts";
import { ProxmoxClient } from "./proxmox/client.ts";
import { isOffline } from "./proxmox/cluster/inventory.ts";

export interface ConnectionOptions {
  /** The hosts of one cluster, the preferred one first. */
  readonly hosts: readonly Host[];
  readonly auth: Authenticator;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly managedTag?: string;
  /** Bound on what the cache takes in memory by estimate, in bytes; default 32 MiB. */
  readonly cacheBytes?: number;
  /** How long answers are trusted and kept, where not by default. */
  readonly ages?: Ages;
  readonly onRequest?: (event: RequestEvent) => void;
}

/** One connection to one cluster: wire, cache and resources, knit together. */
export function openConnection(options: ConnectionOptions): ProxmoxClient {
  const { hosts, auth, clock, random, managedTag, cacheBytes, ages, onRequest } = options;
  const requests = new Map<string, number>();
  const api: ApiClient = new ApiClient({
    hosts,
    auth,
    clock,
    ...(random && { random }),
    // A 595 of a node that is known to be down is no surprise, and asking again would only cost time.
    isOffline: (node) => isOffline(client.lookup.last, node),
    onRequest: (event) => {
      const key = `${event.method} ${event.template}`;
      requests.set(key, (requests.get(key) ?? 0) + 1);
      onRequest?.(event);
    },
  });
  const client: ProxmoxClient = new ProxmoxClient({
    api,
    clock,
    requests,
    principal: auth.describe(),
    ...(managedTag !== undefined && { managedTag }),
    ...(cacheBytes !== undefined && { cacheBytes }),
    ...(ages && { ages }),
  });
  return client;
}
