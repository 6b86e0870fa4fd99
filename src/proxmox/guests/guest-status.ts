import { path } from "../../http/path.ts";
import { fresh, tags } from "../api/freshness.ts";
import { flag, type GuestId, type GuestType, given, number, record, text } from "../api/values.ts";
import type { Question } from "../api/verbs.ts";

/** The state of a guest as its own node says it, without the lag of the rows. */
export interface GuestStatus {
  /** `running`, `stopped`, and for VMs what QEMU says: `paused`, `prelaunch`, `io-error` … */
  readonly status: string;
  readonly lock?: string;
  readonly haManaged: boolean;
  /** What HA has been told to make of it: `started`, `stopped` … */
  readonly haRequest?: string;
  /** Fraction of all its cores, 0..1. */
  readonly cpu?: number;
  readonly memoryUsedBytes?: number;
  readonly memoryBytes?: number;
  readonly diskUsedBytes?: number;
  readonly uptimeS?: number;
  /** Clock time in ms at which it was asked for. */
  readonly beganAt: number;
}

/** PVE: GET /nodes/{node}/{qemu|lxc}/{vmid}/status/current */
export function statusQuestion(guest: GuestId & { readonly node: string }): Question<GuestStatus> {
  return {
    path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/status/current`,
    freshness: fresh("guestStatus", tags.guest(guest)),
    parse: (data, { beganAt }) => readStatus(data, guest.type, beganAt),
  };
}

/** `status` stays `running` for a paused VM; `qmpstatus` has the truth. */
function readStatus(data: unknown, type: GuestType, beganAt: number): GuestStatus {
  const wire = record(data);
  const status = text(wire["status"]) ?? "unknown";
  const qmp = text(wire["qmpstatus"]);
  return {
    status: status === "running" && qmp !== undefined ? qmp : status,
    beganAt,
    haManaged: flag(record(wire["ha"])["managed"]) ?? false,
    ...given({
      haRequest: text(record(wire["ha"])["state"]),
      lock: text(wire["lock"]),
      cpu: number(wire["cpu"]),
      memoryUsedBytes: number(wire["mem"]),
      memoryBytes: number(wire["maxmem"]),
      diskUsedBytes: type === "lxc" ? number(wire["disk"]) : undefined,
      uptimeS: number(wire["uptime"]),
    }),
  };
}
