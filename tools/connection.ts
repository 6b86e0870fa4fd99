import * as z from "zod";
import { bytes, count, oneLine } from "../src/text.ts";
import { defineTool } from "../src/tool.ts";
import * as params from "./params.ts";

const output = z.object({
  host: z.string(),
  version: z.string(),
  auth: z.string(),
  latency_ms: z.number().optional(),
  permissions: z.array(z.unknown()),
  cache: z.record(z.string(), z.unknown()),
  requests: z.record(z.string(), z.unknown()),
  news: z.string(),
});

export const getConnectionStatus = defineTool({
  name: "get_connection_status",
  description:
    "Which Proxmox this server speaks to, as whom, what these credentials may do, and what the cache has saved. First stop after forbidden, unauthorized or empty lists.",
  effect: "read",
  input: z.object({ ...params.reading }),
  output,
  async run(_args, { proxmox, call }) {
    const [version, permissions] = await Promise.all([
      proxmox.cluster.version(call),
      proxmox.cluster.permissions(call),
    ]);
    const { api, cache } = proxmox;
    const { lastLatencyMs } = api;
    return {
      host: api.host,
      version,
      auth: proxmox.principal,
      ...(lastLatencyMs !== undefined && { latency_ms: Math.round(lastLatencyMs) }),
      permissions: [...grouped(permissions)],
      // Its bytes are what the answers take in memory by estimate, several times what came over the wire.
      cache: { ...cache.counters, ...cache.size() },
      requests: Object.fromEntries(proxmox.requests),
      news: proxmox.sweep.newsBy(permissions),
    };
  },
  show({ host, version, auth, latency_ms: latency, permissions, cache, requests, news }) {
    const groups = permissions as readonly Group[];
    const held = groups.map(
      ({ paths, more, privileges }) =>
        `${oneLine(paths.join(" "), 200)}${more ? ` and ${more} more` : ""}: ${oneLine(privileges.join(" "), 1_000)}`,
    );
    const sent = Object.values(requests).reduce((sum: number, amount) => sum + Number(amount), 0);
    const figures = cache as Readonly<Record<string, number>>;
    return [
      `${host}, Proxmox VE ${version}, as ${auth}${latency === undefined ? "" : `, ${latency} ms`}`,
      `Cache: ${count(figures["hits"] ?? 0, "hit")}, ${count(figures["misses"] ?? 0, "miss", "misses")}, ${figures["revalidated"]} revalidated, ${figures["joined"]} joined, ${count(figures["lateFillsDropped"] ?? 0, "late fill")} dropped, ${count(figures["entries"] ?? 0, "entry", "entries")} (${bytes(figures["bytes"] ?? 0)}); ${count(sent, "request")} sent`,
      newsWords[news] ?? "",
      ...(held.length > 0 ? ["Privileges by path:", ...held.slice(0, maxShown)] : [noRights]),
      ...(held.length > maxShown ? [`… and ${count(held.length - maxShown, "more path")}`] : []),
    ].join("\n");
  },
});

/** What tells the cache of other people's changes. */
const newsWords: Readonly<Record<string, string>> = {
  log: "Other people's changes are heard of by the cluster log (Sys.Syslog).",
  tasks:
    "Other people's changes are heard of by the task list (Sys.Audit); with Sys.Syslog on / VM edits would be too.",
  none: "Other people's changes show only in rows: without Sys.Audit or Sys.Syslog on / a configuration may be as old as it is kept (120 s unless --ages says otherwise).",
};

const maxShown = 10;
const maxPaths = 20;
const noRights =
  "No privileges at all: lists will be empty. An administrator grants some with: pveum acl modify / --tokens '<user@realm!name>' --roles PVEAuditor";

interface Group {
  readonly paths: readonly string[];
  /** How many paths are left out: an administrator holds one for every guest. */
  readonly more?: number;
  readonly privileges: readonly string[];
}

/** Most paths repeat what / says: paths with equal privileges stand together, the widest first. */
function grouped(permissions: ReadonlyMap<string, readonly string[]>): readonly Group[] {
  const groups = new Map<string, { paths: string[]; privileges: readonly string[] }>();
  for (const [path, privileges] of [...permissions].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const key = privileges.join(" ");
    const group = groups.get(key) ?? { paths: [], privileges };
    group.paths.push(path);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ paths, privileges }) => ({
    paths: paths.slice(0, maxPaths),
    ...(paths.length > maxPaths && { more: paths.length - maxPaths }),
    privileges,
  }));
}
