import { path } from "../../http/path.ts";
import { isProblem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh } from "../api/freshness.ts";
import { isCloudInit } from "../api/guest-config.ts";
import { flag, record, records, text, type Wire } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import type { Identified } from "./identity.ts";

/** What PVE says of a guest's migration. Storages that are down and nodes that are offline are not among its reasons. */
export interface Conditions {
  /** Nodes that it may not go to, with the reason. */
  readonly refused: ReadonlyMap<string, string>;
  /** Disks on storages of its node alone, without CDs and unused ones. */
  readonly localDisks: readonly string[];
  /** CDs that lie on its node alone: they forbid it. */
  readonly localCds: readonly string[];
  /** Devices of the host that forbid it. */
  readonly devices: readonly string[];
  /** Mapped devices that forbid it while the guest runs. */
  readonly notLive: readonly string[];
}

const none: Conditions = {
  refused: new Map(),
  localDisks: [],
  localCds: [],
  devices: [],
  notLive: [],
};

/**
 * Asked past the cache. PVE 8 has no such question for containers: then it has no reasons.
 * PVE: GET /nodes/{node}/{qemu|lxc}/{vmid}/migrate
 */
export async function conditionsOf(
  guest: Identified,
  verbs: Verbs,
  call: Call,
): Promise<Conditions> {
  try {
    return await verbs.live(call, question(guest));
  } catch (error) {
    if (guest.type === "lxc" && isProblem(error, "unsupported")) return none;
    throw error;
  }
}

function question({ node, type, vmid }: Identified): Question<Conditions> {
  return {
    path: path`/nodes/${node}/${type}/${vmid}/migrate`,
    freshness: fresh("never"),
    parse: readConditions,
  };
}

/** VMs have underscores where containers have hyphens. */
function readConditions(data: unknown): Conditions {
  const wire = record(data);
  const refused = record(wire["not_allowed_nodes"] ?? wire["not-allowed-nodes"]);
  const disks = records(wire["local_disks"]);
  const cds = disks.filter((disk) => flag(disk["cdrom"]) === true);
  const mapped = record(wire["mapped-resource-info"]);
  const names = [...Object.keys(mapped), ...strings(wire["mapped-resources"])];
  return {
    refused: new Map(
      Object.entries(refused).flatMap(([node, why]) => {
        const reason = reasonIn(record(why));
        return reason === "" ? [] : [[node, reason] as const];
      }),
    ),
    localDisks: volids(
      disks.filter((disk) => flag(disk["cdrom"]) !== true && flag(disk["is_unused"]) !== true),
    ),
    localCds: volids(cds).filter((volid) => !isCloudInit(volid)),
    devices: strings(wire["local_resources"]).filter((name) => !names.includes(name)),
    notLive: Object.entries(mapped)
      .filter(([, info]) => flag(record(info)["live-migration"]) !== true)
      .map(([name]) => name),
  };
}

/** A node stands there with an empty object where nothing speaks against it. */
function reasonIn(why: Wire): string {
  const storages = strings(why["unavailable_storages"]);
  const resources = strings(why["unavailable-resources"]);
  const others = records(why["blocking-ha-resources"]).flatMap((one) => text(one["sid"]) ?? []);
  return [
    ...(storages.length > 0 ? [`has no storage ${storages.join(", ")}`] : []),
    ...(resources.length > 0 ? [`lacks mapped devices ${resources.join(", ")}`] : []),
    ...(others.length > 0 ? [`HA keeps it apart from ${others.join(", ")}`] : []),
  ].join("; ");
}

function volids(disks: readonly Wire[]): readonly string[] {
  return disks.flatMap((disk) => text(disk["volid"]) ?? []);
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.flatMap((one) => text(one) ?? []) : [];
}
