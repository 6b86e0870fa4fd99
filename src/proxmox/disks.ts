import type { Changes } from "./changes.ts";
import { DiskAttachment } from "./disk-attach.ts";
import { DiskChanges } from "./disk-changes.ts";
import { DiskDependents } from "./disk-dependents.ts";
import { DiskDetachment } from "./disk-detach.ts";
import type { Lookup } from "./lookup.ts";
import type { Storages } from "./storages.ts";
import type { Tasks } from "./tasks.ts";
import { TemplateConversion } from "./template-conversion.ts";
import type { Verbs } from "./verbs.ts";

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
