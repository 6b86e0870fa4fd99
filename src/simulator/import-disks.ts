import type { Cluster } from "./cluster.ts";
import { disksOf } from "./guest-config.ts";
import { findVolume } from "./guests.ts";
import { readProperties } from "./property-string.ts";
import type { Call } from "./route.ts";
import type { TaskLog, Work } from "./tasks.ts";
import { humanSize } from "./volumes.ts";
import type { Config, Guest } from "./world.ts";

/** Ends the creation in its task. */
export class MissingVolume extends Error {}

/** Every imported image unpacks to this size. */
export const importedBytes = 3 * 1024 ** 3;
/** Bytes written per millisecond. */
const rate = 700_000;

/** What has to be there, and is only looked for in the task: ISO images, templates, images to import. */
export function refuseMissing({ cluster, values }: Call, guest: Guest, wanted: Config): void {
  const { type, node } = guest;
  for (const { volid, cdrom } of disksOf(type, wanted)) {
    if (!cdrom || !volid.includes(":iso/") || findVolume(cluster, volid, node)) continue;
    throw new MissingVolume(`volume '${volid}' does not exist`);
  }
  const template = values["ostemplate"];
  if (template !== undefined && !findVolume(cluster, template, node)) {
    throw new MissingVolume(`volume '${template}' does not exist`);
  }
  for (const source of sourcesOf(guest, wanted)) {
    if (source.startsWith("/") || findVolume(cluster, source, node)) continue;
    throw new MissingVolume(`volume_size_info on '${source}' failed`);
  }
}

/** qemu-img convert of each image, with its lines of progress. */
export function* importDisks(cluster: Cluster, guest: Guest, wanted: Config, log: TaskLog): Work {
  for (const source of sourcesOf(guest, wanted)) {
    const { sizeBytes = importedBytes } = findVolume(cluster, source, guest.node) ?? {};
    const total = Math.max(sizeBytes, importedBytes);
    for (let step = 0; step <= 4; step++) {
      const part = `${humanSize((total * step) / 4)} of ${humanSize(total)}`;
      log.print(`transferred ${part} (${(step * 25).toFixed(2)}%)`);
      if (step < 4) yield total / 4 / rate;
    }
  }
}

function sourcesOf(guest: Guest, wanted: Config): string[] {
  return disksOf(guest.type, wanted).flatMap(
    ({ key }) => readProperties(wanted[key] ?? "", "file")["import-from"] ?? [],
  );
}
