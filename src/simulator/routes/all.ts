import type { Route } from "../route.ts";
import { accessRoutes } from "./access.ts";
import { aclRoutes } from "./acl.ts";
import { acmeRoutes } from "./acme.ts";
import { applianceRoutes } from "./appliances.ts";
import { backupRoutes } from "./backup.ts";
import { certificateRoutes } from "./certificates.ts";
import { clusterRoutes } from "./cluster.ts";
import { downloadRoutes } from "./download.ts";
import { firewallRoutes } from "./firewall.ts";
import { cloneRoutes } from "./guest-clone.ts";
import { configRoutes } from "./guest-config.ts";
import { createRoutes } from "./guest-create.ts";
import { deleteRoutes } from "./guest-delete.ts";
import { diskRoutes } from "./guest-disks.ts";
import { guestInsideRoutes } from "./guest-inside.ts";
import { guestReadRoutes } from "./guest-read.ts";
import { haRoutes } from "./ha.ts";
import { loginRoutes } from "./login.ts";
import { metricRoutes } from "./metrics.ts";
import { migrateRoutes } from "./migrate.ts";
import { nodeFactRoutes } from "./node-facts.ts";
import { nodeRoutes } from "./nodes.ts";
import { poolRoutes } from "./pools.ts";
import { powerRoutes } from "./power.ts";
import { snapshotRoutes } from "./snapshots.ts";
import { storageRoutes } from "./storage.ts";
import { taskRoutes } from "./tasks.ts";
import { uploadRoutes } from "./upload.ts";
import { userRoutes } from "./users.ts";

/** Everything that the simulator answers; any other path is 501, as on a host. */
export function allRoutes(): Route[] {
  return [
    ...nodeRoutes(),
    ...nodeFactRoutes(),
    ...metricRoutes(),
    ...certificateRoutes(),
    ...acmeRoutes(),
    ...clusterRoutes(),
    ...haRoutes(),
    ...accessRoutes(),
    ...loginRoutes(),
    ...userRoutes(),
    ...aclRoutes(),
    ...poolRoutes(),
    ...storageRoutes(),
    ...backupRoutes(),
    ...downloadRoutes(),
    ...uploadRoutes(),
    ...applianceRoutes(),
    ...taskRoutes(),
    ...guestReadRoutes(),
    ...guestInsideRoutes(),
    ...configRoutes(),
    ...powerRoutes(),
    ...cloneRoutes(),
    ...createRoutes(),
    ...diskRoutes(),
    ...migrateRoutes(),
    ...deleteRoutes(),
    ...snapshotRoutes(),
    ...firewallRoutes(),
  ];
}
