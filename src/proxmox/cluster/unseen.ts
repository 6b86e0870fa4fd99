import { grantWords, roleFor } from "../../http/permission.ts";
import type { Inventory } from "./inventory.ts";

/** A part of an overview that Proxmox leaves out without a word, and what would show it. */
export interface Unseen {
  readonly what: string;
  readonly privilege: string;
  readonly path: string;
  /** The sentence for an administrator, with the `pveum` command. */
  readonly grant: string;
}

/** What the answers themselves tell about the rights behind them. */
export interface Sight {
  readonly principal: string;
  /** Whether /cluster/status was answered. */
  readonly audits: boolean;
  /** Whether any guest would be listed. */
  readonly guests: boolean;
}

/** The parts of a cluster that these credentials do not see. PVE: pve-manager PVE/API2/Cluster.pm (status, tasks, resources) */
export function unseenParts(
  { nodes, storages }: Inventory,
  { principal, audits, guests }: Sight,
): readonly Unseen[] {
  const bare = [...nodes.values()].some(
    ({ status, memoryBytes }) => status === "online" && memoryBytes === undefined,
  );
  const load = bare ? ["the nodes' load"] : [];
  const parts: (readonly [what: readonly string[], privilege: string, path: string])[] = [
    [
      audits ? load : ["quorum", "HA", "tasks of others", ...load],
      "Sys.Audit",
      audits ? "/nodes" : "/",
    ],
    [storages.length > 0 ? [] : ["storages"], "Datastore.Audit", "/storage"],
    [guests ? [] : ["guests"], "VM.Audit", "/vms"],
  ];
  return parts
    .filter(([what]) => what.length > 0)
    .map(([what, privilege, path]) => ({
      what: what.join(", "),
      privilege,
      path,
      grant: grantWords(path, roleFor(privilege), principal),
    }));
}
