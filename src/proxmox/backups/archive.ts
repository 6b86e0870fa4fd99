import { path } from "../../http/path.ts";
import { fresh, tags } from "../api/freshness.ts";
import { type GuestConfig, readConfig } from "../api/guest-config.ts";
import type { GuestType } from "../api/values.ts";
import type { Question } from "../api/verbs.ts";
import type { Volume } from "../storage/volumes.ts";

/** What is in a backup: the configuration of then. PVE: GET /nodes/{node}/vzdump/extractconfig */
export function archiveQuestion(volume: Volume, type: GuestType): Question<GuestConfig> {
  return {
    path: path`/nodes/${volume.node}/vzdump/extractconfig`,
    params: { volume: volume.volid },
    freshness: fresh("storageContent", tags.storageContent(volume.storage), tags.anyContent),
    parse: (data, { beganAt }) =>
      readConfig(readLines(String(data ?? "")), { type, vmid: volume.vmid ?? 0 }, beganAt),
  };
}

/** `key: value` a line; what begins with `#` are notes and the map of drives, a `[` begins another section. */
function readLines(text: string): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (line.startsWith("[")) break;
    const [, key, value] = /^([a-z][a-z0-9_-]*):\s*(.*?)\s*$/i.exec(line) ?? [];
    if (key !== undefined && value !== undefined) fields[key] = value;
  }
  return fields;
}
