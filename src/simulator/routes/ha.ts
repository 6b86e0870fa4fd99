import type { Format } from "../formats.ts";
import { died } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import { type HaResource, serviceId } from "../world.ts";

const sidFormat: Format = (value) =>
  /^(?:[a-z]+:\S+|\d+)$/.test(value)
    ? undefined
    : "value does not look like a valid ha resource id\n";

/** PVE::API2::HA::Status, Resources, Groups and Rules. */
export function haRoutes(): Route[] {
  const permission = needs("/", "Sys.Audit");
  return [
    { method: "GET", path: "/cluster/ha/status/current", permission, handle: haStatus },
    {
      method: "GET",
      path: "/cluster/ha/resources",
      permission,
      parameters: { type: { type: "string", optional: true, enum: ["ct", "vm"] } },
      handle: haResources,
    },
    {
      method: "GET",
      path: "/cluster/ha/resources/{sid}",
      permission,
      parameters: { sid: { type: "string", format: sidFormat } },
      handle: haResource,
    },
    { method: "GET", path: "/cluster/ha/groups", permission, handle: haGroups },
    {
      method: "GET",
      path: "/cluster/ha/rules",
      since: "9.1",
      permission,
      parameters: {
        resource: { type: "string", optional: true, format: sidFormat },
        type: { type: "string", optional: true, enum: ["node-affinity", "resource-affinity"] },
      },
      handle: () => [],
    },
  ];
}

function haStatus({ cluster }: Call): unknown[] {
  const { world, host, now } = cluster;
  const entries: unknown[] = [
    { id: "quorum", type: "quorum", node: host, status: "OK", quorate: 1 },
  ];
  if (world.ha.size === 0) return entries;
  const timestamp = Math.floor(now / 1000);
  const when = new Date(now).toUTCString();
  entries.push({
    id: "master",
    type: "master",
    node: host,
    status: `${host} (active, ${when})`,
    timestamp,
  });
  for (const guest of world.guests.values()) {
    const resource = world.ha.get(serviceId(guest));
    if (!resource) continue;
    const state = guest.run.status === "running" ? "started" : "stopped";
    const { sid, request, maxRestart, maxRelocate } = resource;
    entries.push({
      id: `service:${sid}`,
      type: "service",
      sid,
      node: guest.node,
      state,
      crm_state: state,
      request_state: request,
      status: `${sid} (${guest.node}, ${state})`,
      max_restart: maxRestart,
      max_relocate: maxRelocate,
    });
  }
  return entries;
}

function haResources({ cluster, values }: Call): unknown[] {
  const { type } = values;
  return [...cluster.world.ha.values()]
    .filter(({ sid }) => type === undefined || sid.startsWith(`${type}:`))
    .map(entry);
}

/** GET /cluster/ha/resources/{sid}: a bare number is the guest of that vmid. PVE: pve-ha-manager src/PVE/HA/Config.pm (parse_sid) */
function haResource({ cluster, values }: Call): unknown {
  const { sid: asked = "" } = values;
  const { world } = cluster;
  const guest = world.guests.get(Number(asked));
  if (/^\d+$/.test(asked) && !guest) {
    throw died(`unable to add resource - VM/CT ${asked} does not exist`);
  }
  const sid = guest ? serviceId(guest) : asked;
  const resource = world.ha.get(sid);
  if (!resource) throw died(`no such resource '${sid}'`);
  return entry(resource);
}

function entry({ sid, request, maxRestart, maxRelocate }: HaResource): unknown {
  return {
    sid,
    type: sid.split(":")[0],
    state: request,
    max_restart: maxRestart,
    max_relocate: maxRelocate,
    digest: "da39a3ee5e6b4b0d3255bfef95601890afd80709",
  };
}

/** PVE 9 made rules of the groups. */
function haGroups({ cluster }: Call): unknown[] {
  if (cluster.version !== "8.4") {
    throw died("cannot index groups: ha groups have been migrated to rules");
  }
  return [];
}
