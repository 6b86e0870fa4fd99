import { configIdFormat } from "../formats.ts";
import { answerValue, configAnswer, digestOf } from "../guest-config.ts";
import { currentStatus, listEntry } from "../guest-status.ts";
import { guestOf } from "../guests.ts";
import { died } from "../refusal.ts";
import { type Call, needs, needsAny, type Route } from "../route.ts";
import type { Guest, GuestType } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;

/** What can be read of guests without asking inside: PVE::API2::Qemu, PVE::API2::LXC and its Config, Status, Snapshot. */
export function guestReadRoutes(): Route[] {
  return (["qemu", "lxc"] as const).flatMap((type) => [
    list(type),
    // GET .../config
    read(
      type,
      "config",
      {
        current: flag,
        snapshot: { type: "string", optional: true, format: configIdFormat, maxLength: 40 },
      },
      config,
    ),
    read(type, "pending", {}, (_, guest) => pending(guest)),
    read(type, "status/current", {}, ({ cluster }, guest) => currentStatus(cluster, guest)),
    read(type, "snapshot", {}, (_, guest) => snapshots(guest)),
    {
      ...read(type, "snapshot/{snapname}/config", {}, snapshotConfig),
      permission: needsAny("/vms/{vmid}", "VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit"),
    },
  ]);
}

/** GET /nodes/{node}/{qemu,lxc}: only guests with VM.Audit. */
function list(type: GuestType): Route {
  return {
    method: "GET",
    path: `/nodes/{node}/${type}`,
    parameters: type === "qemu" ? { full: flag } : {},
    handle: ({ cluster, access, values }) => {
      const guests = [...cluster.world.guests.values()].filter(
        (guest) =>
          guest.type === type &&
          guest.node === values["node"] &&
          access.has(`/vms/${guest.vmid}`, "VM.Audit"),
      );
      const full = values["full"] === "1";
      return guests.map((guest) => {
        if (!full) return listEntry(cluster, guest);
        const { ha: _, ...status } = currentStatus(cluster, guest);
        return status;
      });
    },
  };
}

function read(
  type: GuestType,
  tail: string,
  parameters: NonNullable<Route["parameters"]>,
  handle: (call: Call, guest: Guest) => unknown,
): Route {
  return {
    method: "GET",
    path: `/nodes/{node}/${type}/{vmid}/${tail}`,
    permission: needs("/vms/{vmid}", "VM.Audit"),
    parameters,
    handle: (call) => handle(call, guestOf(call, type)),
  };
}

function config({ values }: Call, guest: Guest): unknown {
  const name = values["snapshot"];
  if (name === undefined) return configAnswer(guest, values["current"] === "1");
  return { ...snapshotFields(guest, name), digest: digestOf(guest) };
}

function snapshotConfig({ values }: Call, guest: Guest): unknown {
  return snapshotFields(guest, values["snapname"] ?? "");
}

/** The raw config of then, with the snapshot's own keys. */
function snapshotFields(guest: Guest, name: string): Record<string, unknown> {
  const snapshot = guest.snapshots.find((other) => other.name === name);
  if (!snapshot) throw died(`snapshot '${name}' does not exist`);
  const fields: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(snapshot.config)) {
    fields[key] = answerValue(guest.type, key, value);
  }
  fields["snaptime"] = snapshot.snaptime;
  if (snapshot.description !== "") fields["description"] = snapshot.description;
  if (snapshot.parent !== undefined) fields["parent"] = snapshot.parent;
  if (snapshot.vmstate !== undefined) fields["vmstate"] = snapshot.vmstate;
  return fields;
}

/** GET …/pending: PVE::GuestHelpers config_with_pending_array. */
function pending(guest: Guest): unknown[] {
  const keys = new Set([...Object.keys(guest.config), ...Object.keys(guest.pending)]);
  const entries: Record<string, unknown>[] = [];
  for (const key of keys) {
    const entry: Record<string, unknown> = { key };
    const now = guest.config[key];
    const then = guest.pending[key];
    if (now !== undefined) entry["value"] = answerValue(guest.type, key, now);
    if (then !== undefined) entry["pending"] = answerValue(guest.type, key, then);
    if (guest.pendingDelete.includes(key)) entry["delete"] = 1;
    entries.push(entry);
  }
  return [...entries, { key: "digest", value: digestOf(guest) }];
}

/** GET …/snapshot: always with `current`, which is no snapshot. */
function snapshots(guest: Guest): unknown[] {
  const entries = guest.snapshots.map((snapshot) => ({
    name: snapshot.name,
    snaptime: snapshot.snaptime,
    description: snapshot.description,
    ...(guest.type === "qemu" ? { vmstate: snapshot.vmstate === undefined ? 0 : 1 } : {}),
    ...(snapshot.parent === undefined ? {} : { parent: snapshot.parent }),
    ...(snapshot.snapstate === undefined ? {} : { snapstate: snapshot.snapstate }),
  }));
  const parent = guest.config["parent"];
  const current = {
    name: "current",
    description: "You are here!",
    digest: digestOf(guest),
    running: guest.run.status === "running" ? 1 : 0,
    ...(parent === undefined ? {} : { parent }),
  };
  return [...entries, current];
}
