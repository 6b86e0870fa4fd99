import { ReadCache } from "../cache/cache.ts";
import { MemoryStore } from "../cache/memory.ts";
import type { Clock } from "../clock.ts";
import type { ApiClient } from "../http/client.ts";
import type { Problem } from "../problem.ts";
import type { Ages } from "./api/freshness.ts";
import { Verbs } from "./api/verbs.ts";
import { CertificateChanges } from "./certificates/certificate-change.ts";
import { Certificates } from "./certificates/certificates.ts";
import { Recognitions } from "./certificates/recognition.ts";
import { Clones } from "./clones/clone.ts";
import { Cluster } from "./cluster/cluster.ts";
import { Lookup } from "./cluster/lookup.ts";
import { Names } from "./cluster/names.ts";
import { Newcomers } from "./cluster/newcomers.ts";
import { Overlay } from "./cluster/overlay.ts";
import { Sweep } from "./cluster/sweep.ts";
import { VmidPool } from "./cluster/vmids.ts";
import { GuestUpdates } from "./config/guest-update.ts";
import { Making } from "./creation/making.ts";
import { Disks } from "./disks/disks.ts";
import { GuestCare } from "./guest-care.ts";
import { Changes } from "./guests/changes.ts";
import { Deletion } from "./guests/deletion.ts";
import { GuestDetails } from "./guests/guest-details.ts";
import { Guests } from "./guests/guests.ts";
import { Identity } from "./guests/identity.ts";
import { Power } from "./guests/power.ts";
import { Restarts } from "./guests/restart.ts";
import { Services } from "./services.ts";
import { Snapshots } from "./snapshots/snapshots.ts";
import type { Downloads } from "./storage/downloads.ts";
import { Storages } from "./storage/storages.ts";
import { VolumeDeletions } from "./storage/volume-deletion.ts";
import { explained } from "./tasks/task-failure.ts";
import { Tasks } from "./tasks/tasks.ts";

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
    this.details = new GuestDetails(verbs, this.lookup);
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
