import type { Tool } from "../src/tool.ts";
import { createBackup } from "./backups.ts";
import { createCertificate, deleteCertificate } from "./certificate-change.ts";
import { listCertificates } from "./certificates.ts";
import { cloneContainer, cloneVm } from "./clone.ts";
import { getCluster } from "./cluster.ts";
import { getConnectionStatus } from "./connection.ts";
import { createContainer } from "./create-container.ts";
import { createTemplate } from "./create-template.ts";
import { createVm } from "./create-vm.ts";
import { attachDisk, convertToTemplate, detachDisk, moveDisk, resizeDisk } from "./disks.ts";
import { getContainer, getVm } from "./get-guest.ts";
import { listBackups } from "./list-backups.ts";
import { listGuests } from "./list-guests.ts";
import { listStorage } from "./list-storage.ts";
import { getMetrics } from "./metrics.ts";
import { migrateGuest } from "./migration.ts";
import { getNode } from "./node.ts";
import { deleteGuest, startGuest, stopGuest } from "./power.ts";
import { restartGuest } from "./restart.ts";
import { restoreBackup } from "./restore.ts";
import { createSnapshot } from "./snapshot.ts";
import { deleteSnapshot, rollbackSnapshot } from "./snapshots.ts";
import { stopTask } from "./stop-task.ts";
import { deleteStorageContent, downloadStorage } from "./storage.ts";
import { getTasks } from "./tasks.ts";
import { updateGuest } from "./update-guest.ts";
import { uploadStorage } from "./upload.ts";

/** The toolsets that can be served, each a list of tools in the order in which clients see them. */
export const toolsets: Readonly<Record<string, readonly Tool[]>> = {
  core: [
    listGuests,
    getVm,
    getContainer,
    getCluster,
    getNode,
    listStorage,
    listCertificates,
    getTasks,
    getConnectionStatus,
    createVm,
    cloneVm,
    createContainer,
    cloneContainer,
    updateGuest,
    startGuest,
    createSnapshot,
    createTemplate,
    downloadStorage,
    stopGuest,
    restartGuest,
    createCertificate,
    deleteCertificate,
    deleteGuest,
    deleteStorageContent,
  ],
  storage: [uploadStorage],
  metrics: [getMetrics],
  tasks: [stopTask],
  disks: [resizeDisk, moveDisk, attachDisk, detachDisk, convertToTemplate],
  snapshots: [rollbackSnapshot, deleteSnapshot],
  backups: [listBackups, createBackup, restoreBackup],
  migration: [migrateGuest],
};
