import type { Verbs } from "../api/verbs.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { Newcomers } from "../cluster/newcomers.ts";
import type { VmidPool } from "../cluster/vmids.ts";
import type { Changes } from "../guests/changes.ts";
import { Appliances } from "../storage/appliances.ts";
import { Downloads } from "../storage/downloads.ts";
import { Fetches } from "../storage/fetches.ts";
import type { Storages } from "../storage/storages.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { ContainerCreations } from "./create-container.ts";
import { Creations } from "./create-guest.ts";
import { TemplateCreations } from "./create-template.ts";
import { VmCreations } from "./create-vm.ts";
import { HalfMade } from "./half-made.ts";
import { Images } from "./image.ts";
import { Placement } from "./placement.ts";

export interface MakingParts {
  readonly verbs: Verbs;
  readonly lookup: Lookup;
  readonly changes: Changes;
  readonly tasks: Tasks;
  readonly vmids: VmidPool;
  readonly newcomers: Newcomers;
  readonly storages: Storages;
  readonly cluster: Cluster;
}

/** All that makes new guests, and brings the files that they are made of. */
export class Making {
  readonly downloads: Downloads;
  readonly vms: VmCreations;
  readonly containers: ContainerCreations;
  readonly templates: TemplateCreations;

  constructor(parts: MakingParts, managedTag: string, principal: string) {
    const { verbs, lookup, storages, changes, tasks } = parts;
    const fetches = new Fetches(changes, tasks);
    const appliances = new Appliances({ ...parts, fetches });
    this.downloads = new Downloads({ storages, fetches, appliances }, principal);
    const placement = new Placement(lookup, storages, () => verbs.clock.now());
    const halves = new HalfMade(parts, principal);
    const creations = new Creations({ ...parts, halves });
    this.vms = new VmCreations(creations, placement, managedTag);
    this.containers = new ContainerCreations(
      { creations, placement, appliances },
      managedTag,
      principal,
    );
    const { vms, downloads } = this;
    const images = new Images({ ...parts, placement, downloads, fetches });
    const making = { creations, halves, placement, images, vms };
    this.templates = new TemplateCreations({ ...parts, ...making, managedTag });
  }
}
