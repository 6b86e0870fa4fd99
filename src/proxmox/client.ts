import { ReadCache } from "../cache/cache.ts";
import { MemoryStore } from "../cache/memory.ts";
import type { Clock } from "../clock.ts";
import type { ApiClient } from "../http/client.ts";
import { Acme } from "./acme.ts";
import type { Call } from "./call.ts";
import { CertificateChanges } from "./certificate-change.ts";
import { Certificates } from "./certificates.ts";
import { Changes } from "./changes.ts";
import { Clones } from "./clone.ts";
import { Cluster } from "./cluster.ts";
import { Deletion } from "./deletion.ts";
import { Downloads } from "./downloads.ts";
import { GuestDetails } from "./guest-details.ts";
import { Guests } from "./guests.ts";
import { Identity } from "./identity.ts";
import { Lookup } from "./lookup.ts";
import { Metrics } from "./metrics.ts";
import { Names } from "./names.ts";
import { Newcomers } from "./newcomers.ts";
import { Overlay } from "./overlay.ts";
import { Power } from "./power.ts";
import { Recognitions } from "./recognition.ts";
import { Snapshots } from "./snapshots.ts";
import { Storages } from "./storages.ts";
import { Sweep } from "./sweep.ts";
import { TaskList } from "./task-list.ts";
import { TaskStops } from "./task-stop.ts";
import { Tasks } from "./tasks.ts";
import { type UploadOrder, Uploads } from "./uploads.ts";
import { Verbs } from "./verbs.ts";
import { VmidPool } from "./vmids.ts";
import { VolumeDeletions } from "./volume-deletion.ts";

export interface ProxmoxClientOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  /** Bound of the cache in bytes; default 32 MiB. */
  readonly cacheBytes?: number;
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
  readonly clones: Clones;
  readonly deletion: Deletion;
  readonly cluster: Cluster;
  readonly certificates: Certificates;
  readonly certificateChanges: CertificateChanges;
  readonly acme: Acme;
  readonly snapshots: Snapshots;
  readonly storages: Storages;
  readonly downloads: Downloads;
  readonly uploads: Uploads;
  readonly metrics: Metrics;
  readonly volumes: VolumeDeletions;
  readonly tasks: Tasks;
  readonly taskList: TaskList;
  readonly taskStops: TaskStops;
  readonly sweep: Sweep;

  constructor(options: ProxmoxClientOptions) {
    const { api, clock, cacheBytes, managedTag = "mcp", requests = new Map() } = options;
    this.api = api;
    this.clock = clock;
    this.managedTag = managedTag;
    this.principal = options.principal;
    this.requests = requests;
    const now = () => clock.now();
    const store = new MemoryStore({
      ...(cacheBytes !== undefined && { maxBytes: cacheBytes }),
      onEvict: (key) => this.cache.evicted(key),
    });
    this.cache = new ReadCache(store, now);
    const verbs = new Verbs(api, this.cache, clock);
    this.verbs = verbs;
    this.lookup = new Lookup(verbs, new Names(now), new Overlay(now));
    this.tasks = new Tasks(verbs);
    this.guests = new Guests(verbs, this.lookup, this.tasks);
    this.details = new GuestDetails(verbs);
    this.cluster = new Cluster(verbs);
    this.taskList = new TaskList(verbs, this.cluster);
    this.taskStops = new TaskStops(verbs, this.tasks);
    this.sweep = new Sweep(verbs, this.cluster, (call) => this.lookup.liveInventory(call));
    this.lookup.refreshBy(this.sweep);
    this.certificates = new Certificates(verbs, this.lookup);
    const recognitions = new Recognitions(verbs, this.cluster);
    this.certificateChanges = new CertificateChanges(verbs, this.certificates, recognitions);
    this.storages = new Storages(verbs, this.lookup);
    const identity = new Identity(verbs, this.lookup);
    const changes = new Changes(verbs, identity, this.tasks);
    const { certificates } = this;
    this.acme = new Acme({ verbs, certificates, recognitions, changes });
    this.snapshots = new Snapshots(verbs, changes, this.tasks);
    this.volumes = new VolumeDeletions(verbs, this.lookup, this.storages, this.tasks);
    this.downloads = new Downloads(this.storages, changes, options.principal);
    const vmids = new VmidPool(verbs, this.lookup);
    this.power = new Power(changes, this.tasks, this.lookup);
    this.deletion = new Deletion(verbs, this.lookup, changes, this.tasks);
    const newcomers = new Newcomers(verbs, this.lookup, vmids);
    const base = { verbs, lookup: this.lookup, changes, tasks: this.tasks, vmids, newcomers };
    this.clones = new Clones(base, managedTag);
    const uses = this.#uses(changes, options.principal);
    this.metrics = uses.metrics;
    this.uploads = uses.uploads;
  }

  #uses(changes: Changes, principal: string) {
    const { verbs, lookup, storages } = this;
    const node = (name: string, call: Call) => this.certificates.node(name, call);
    const where = (order: UploadOrder, call: Call) => this.downloads.where(order, call);
    return {
      metrics: new Metrics({ verbs, lookup, storages, node }),
      uploads: new Uploads({ verbs, lookup, storages, where, changes, principal }),
    };
  }

  async close(): Promise<void> {
    await this.api.close();
  }
}
