import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { Changes } from "../guests/changes.ts";
import type { Storages } from "../storage/storages.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { DiskAttachment } from "./disk-attach.ts";
import { DiskChanges } from "./disk-changes.ts";
import { DiskDependents } from "./disk-dependents.ts";
import { DiskDetachment } from "./disk-detach.ts";
import { TemplateConversion } from "./template-conversion.ts";

/** All that is done to the disks of guests. */
export class Disks {
  readonly changes: DiskChanges;
  readonly attachment: DiskAttachment;
  readonly detachment: DiskDetachment;
  readonly conversion: TemplateConversion;

  constructor(base: {
    readonly verbs: Verbs;
    readonly lookup: Lookup;
    readonly changes: Changes;
    readonly tasks: Tasks;
    readonly storages: Storages;
  }) {
    const { verbs, lookup, changes, tasks, storages } = base;
    const dependents = new DiskDependents(verbs, lookup, storages);
    this.changes = new DiskChanges({ verbs, changes, storages, lookup, dependents });
    this.attachment = new DiskAttachment(verbs, changes, storages, lookup);
    this.detachment = new DiskDetachment(verbs, changes, dependents);
    this.conversion = new TemplateConversion(verbs, changes, tasks);
  }
}
