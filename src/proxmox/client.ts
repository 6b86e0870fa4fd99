import { ReadCache } from "../cache/cache.ts";
import { MemoryStore } from "../cache/memory.ts";
import type { Clock } from "../clock.ts";
import type { ApiClient } from "../http/client.ts";
import type { Problem } from "../problem.ts";
import { Addresses } from "./addresses.ts";
import { CertificateChanges } from "./certificate-change.ts";
import { Certificates } from "./certificates.ts";
import { Changes } from "./changes.ts";
import { Clones } from "./clone.ts";
import { Cluster } from "./cluster.ts";
import { Deletion } from "./deletion.ts";
import { Disks } from "./disks.ts";
import type { Downloads } from "./downloads.ts";
import type { Ages } from "./freshness.ts";
import { GuestCare } from "./guest-care.ts";
import { GuestDetails } from "./guest-details.ts";
import { GuestUpdates } from "./guest-update.ts";
import { Guests } from "./guests.ts";
import { Identity } from "./identity.ts";
import { Lookup } from "./lookup.ts";
import { Making } from "./making.ts";
import { Names } from "./names.ts";
import { Newcomers } from "./newcomers.ts";
import { Overlay } from "./overlay.ts";
import { Power } from "./power.ts";
import { Recognitions } from "./recognition.ts";
import { Restarts } from "./restart.ts";
import { Services } from "./services.ts";
import { Snapshots } from "./snapshots.ts";
import { Storages } from "./storages.ts";
import { Sweep } from "./sweep.ts";
import { explained } from "./task-failure.ts";
import { Tasks } from "./tasks.ts";
import { Verbs } from "./verbs.ts";
import { VmidPool } from "./vmids.ts";
import { VolumeDeletions } from "./volume-deletion.ts";

export interface ProxmoxClientOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  /** Bound of the cache in bytes; default 32 MiB. */
  readonly cacheBytes?: number;
  /** How long answers are trusted and kept, where not by default. */
  readonly ages?: Ages;
  /** Who these credentials are, for messages: `API token user@realm!name`. */
  readonly principal: string;
  /** Requests sent so far, by method and kind of path: `GET /nodes/{node}/qemu/{vmid}/config` → 12. */
  readonly requests?: ReadonlyMap<string, number>;
  /** The tag of what this server makes; default `mcp`. */
  readonly managedTag?: string;
}

/** One connection to one cluster with one set of credentials: its resources as fields, one cache below them all. */
export class ProxmoxClient {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly cache: ReadCache;
  readonly verbs: Verbs;
  readonly managedTag: string;
  readonly principal: string;
  readonly requests: ReadonlyMap<string, number>;
  readonly lookup: Lookup;
  readonly guests: Guests;
  readonly details: GuestDetails;
  readonly addresses: Addresses;
  readonly power: Power;
  readonly restarts: Restarts;
  readonly updates: GuestUpdates;
  readonly disks: Disks;
  readonly clones: Clones;
  readonly making: Making;
  readonly deletion: Deletion;
  readonly cluster: Cluster;
  readonly certificates: Certificates;
  readonly certificateChanges: CertificateChanges;
  readonly snapshots: Snapshots;
  readonly storages: Storages;
  readonly care: GuestCare;
  readonly downloads: Downloads;
  readonly volumes: VolumeDeletions;
  readonly tasks: Tasks;
  readonly sweep: Sweep;
  readonly services: Services;

  constructor(options: ProxmoxClientOptions) {
    const { api, clock, cacheBytes, managedTag = "mcp", requests = new Map() } = options;
    this.api = api;
    this.clock = clock;
    this.managedTag = managedTag;
    this.principal = options.principal;
    this.requests = requests;
    const now = () => clock.now();
    this.cache = memoryCache(cacheBytes, now);
    const verbs = new Verbs(api, this.cache, clock, options.ages);
    this.verbs = verbs;
    this.lookup = new Lookup(verbs, new Names(now), new Overlay(now));
    this.tasks = new Tasks(verbs);
    this.guests = new Guests(verbs, this.lookup, this.tasks);
    this.details = new GuestDetails(verbs);
    this.addresses = new Addresses(verbs);
    this.cluster = new Cluster(verbs);
    this.sweep = new Sweep(verbs, this.cluster, this.tasks, this.lookup);
    this.lookup.refreshBy(this.sweep);
    this.certificates = new Certificates(verbs, this.lookup);
    const recognitions = new Recognitions(verbs, this.cluster);
    this.certificateChanges = new CertificateChanges(verbs, this.certificates, recognitions);
    this.storages = new Storages(verbs, this.lookup);
    const changes = new Changes(verbs, new Identity(verbs, this.lookup), this.tasks);
    this.snapshots = new Snapshots(verbs, changes);
    this.volumes = new VolumeDeletions(verbs, this.lookup, this.storages, this.tasks);
    const vmids = new VmidPool(verbs, this.lookup);
    this.power = new Power(changes, this.tasks, this.lookup);
    this.restarts = new Restarts(verbs, this.lookup, changes, this.tasks);
    this.updates = new GuestUpdates(verbs, changes, this.lookup);
    this.deletion = new Deletion(verbs, this.lookup, changes, this.tasks);
    const newcomers = new Newcomers(verbs, this.lookup, vmids);
    const { lookup, tasks, storages, cluster, principal } = this;
    const base = { verbs, lookup, changes, tasks, vmids, newcomers, storages, cluster };
    this.clones = new Clones(base, managedTag);
    this.disks = new Disks(base);
    this.making = new Making(base, managedTag, principal);
    this.downloads = this.making.downloads;
    this.services = new Services(this, changes, recognitions);
    this.care = new GuestCare(base, { principal, managedTag });
  }

  /** The problem of a failed task; `forbidden`, with the command that mends it, where the task lacked a privilege. */
  explain(problem: Problem): Problem {
    return explained(problem, this.principal);
  }

  async close(): Promise<void> {
    await this.api.close();
  }
}

function memoryCache(maxBytes: number | undefined, now: () => number): ReadCache {
  const store = new MemoryStore({
    ...(maxBytes !== undefined && { maxBytes }),
    onEvict: (key) => cache.evicted(key),
  });
  const cache = new ReadCache(store, now);
  return cache;
}
