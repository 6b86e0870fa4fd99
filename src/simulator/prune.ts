import { readProperties } from "./property-string.ts";
import type { Volume } from "./world.ts";

export type Mark = "keep" | "remove" | "protected" | "renamed";

export interface Marked {
  readonly volume: Volume;
  readonly type: "qemu" | "lxc" | "unknown";
  readonly mark: Mark;
}

/** What each rule counts one backup of, from the shortest span on. */
const spans: readonly (readonly [rule: string, span: (iso: string) => string])[] = [
  ["keep-hourly", (iso) => iso.slice(0, 13)],
  ["keep-daily", (iso) => iso.slice(0, 10)],
  ["keep-weekly", weekOf],
  ["keep-monthly", (iso) => iso.slice(0, 7)],
  ["keep-yearly", (iso) => iso.slice(0, 4)],
];

/** Which backups of one guest go by these rules: PVE::Storage::prune_mark_backup_group, Plugin prune_backups. */
export function markBackups(volumes: readonly Volume[], rules: string): Marked[] {
  const keep = readProperties(rules, "keep-all");
  const groups = new Map<string, Volume[]>();
  const marked: Marked[] = [];
  for (const volume of volumes) {
    const [, type] = standardName.exec(volume.volid) ?? [];
    if (type === undefined || volume.vmid === undefined) {
      marked.push({ volume, type: "unknown", mark: "renamed" });
    } else if (volume.protected) marked.push({ volume, type: kindOf(type), mark: "protected" });
    else {
      const key = `${type}/${volume.vmid}`;
      groups.set(key, [...(groups.get(key) ?? []), volume]);
    }
  }
  for (const [key, group] of groups) {
    const kept = keptOf(group, keep);
    const type = kindOf(key);
    for (const volume of group) {
      marked.push({ volume, type, mark: kept.has(volume) ? "keep" : "remove" });
    }
  }
  return marked.sort((a, b) => a.volume.ctime - b.volume.ctime);
}

const standardName = /(?:vzdump-(qemu|lxc)-\d+-\d{4}_\d\d_\d\d-|backup\/(vm|ct)\/)/;

function kindOf(name: string): "qemu" | "lxc" {
  return /^(?:lxc|ct)/.test(name) ? "lxc" : "qemu";
}

function keptOf(group: readonly Volume[], keep: Readonly<Record<string, string>>): Set<Volume> {
  const newest = [...group].sort((a, b) => b.ctime - a.ctime);
  const limits = Object.entries(keep).filter(([, count]) => Number(count) > 0);
  if (keep["keep-all"] === "1" || limits.length === 0) return new Set(group);
  const kept = new Set(newest.slice(0, Number(keep["keep-last"] ?? 0)));
  for (const [rule, span] of spans) {
    const seen = new Set([...kept].map((volume) => span(isoOf(volume))));
    let left = Number(keep[rule] ?? 0);
    for (const volume of newest) {
      const at = span(isoOf(volume));
      if (left === 0 || kept.has(volume) || seen.has(at)) continue;
      seen.add(at);
      kept.add(volume);
      left--;
    }
  }
  return kept;
}

function isoOf({ ctime }: Volume): string {
  return new Date(ctime * 1000).toISOString();
}

/** The Monday of its week. */
function weekOf(iso: string): string {
  const day = new Date(`${iso.slice(0, 10)}T00:00:00Z`);
  day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
  return day.toISOString().slice(0, 10);
}
