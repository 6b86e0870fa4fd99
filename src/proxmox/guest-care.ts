import { BackupCreation } from "./backups/backup-creation.ts";
import { Backups } from "./backups/backups.ts";
import { type Base, Restores } from "./backups/restores.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { Migrations } from "./guests/migrations.ts";
import { SnapshotChanges } from "./snapshots/snapshot-changes.ts";
import type { Tasks } from "./tasks/tasks.ts";

/** What keeps guests safe: the ways back to snapshots and backups, and out of a node. */
export class GuestCare {
  readonly backups: Backups;
  readonly backupCreation: BackupCreation;
  readonly restores: Restores;
  readonly snapshots: SnapshotChanges;
  readonly migrations: Migrations;

  constructor(
    base: Base & { readonly tasks: Tasks; readonly cluster: Cluster },
    { principal, managedTag }: { readonly principal: string; readonly managedTag: string },
  ) {
    this.backups = new Backups(base.lookup, base.storages, base.cluster, principal);
    this.backupCreation = new BackupCreation(base);
    this.restores = new Restores(base, managedTag);
    this.snapshots = new SnapshotChanges(base.verbs, base.lookup, base.changes);
    this.migrations = new Migrations(base);
  }
}
