import { Problem } from "../../problem.ts";
import type { GuestType } from "../api/values.ts";

/** PVE: pve-common src/PVE/JSONSchema.pm (pve-configid), pve-guest-common src/PVE/AbstractConfig.pm (pve-snapshot-name) */
const maxName = 40;
const stampLength = "yyyymmdd-hhmmss".length;
/** Room for a number behind the time, should a second see several. */
const maxPrefix = maxName - stampLength - 3;

/** PVE: qemu-server src/PVE/API2/Qemu.pm, pve-container src/PVE/API2/LXC/Snapshot.pm */
const reserved: Readonly<Record<GuestType, readonly string[]>> = {
  qemu: ["current", "pending"],
  lxc: ["current", "pending", "vzdump"],
};

/** Throws `invalid_input` for a prefix that would not stand in names as it is: another one might come to the same. */
export function assertPrefix(prefix: string): void {
  if (/^[a-zA-Z][a-zA-Z0-9_-]*$/.test(prefix) && prefix.length <= maxPrefix) return;
  throw new Problem("invalid_input", `"${prefix.slice(0, 60)}" is no prefix for snapshots.`, {
    next: `1 to ${maxPrefix} letters, digits, _ and -, a letter first.`,
    facts: { argument: "prefix" },
  });
}

/** The prefix and the time in UTC: `auto-20260131-120000`, with `-2` behind it where that is taken. `now` is in ms. */
export function nameFor(prefix: string, now: number, taken: readonly string[]): string {
  const [date = "", time = ""] = new Date(now).toISOString().slice(0, 19).split("T");
  const name = `${prefix}${date.replaceAll("-", "")}-${time.replaceAll(":", "")}`;
  for (let number = 1; number < 100; number++) {
    const numbered = number === 1 ? name : `${name}-${number}`;
    if (!taken.includes(numbered)) return numbered;
  }
  return name;
}

/** The names that `nameFor` has made with this prefix, in the order of their stamps; whatever else begins alike is somebody else's. */
export function generatedBy(prefix: string, names: readonly string[]): readonly string[] {
  const made = names.flatMap((name) => {
    if (!name.startsWith(prefix)) return [];
    const [, stamp, number = "1"] =
      /^([0-9]{8}-[0-9]{6})(?:-([0-9]{1,2}))?$/.exec(name.slice(prefix.length)) ?? [];
    return stamp === undefined ? [] : [{ name, key: `${stamp} ${number.padStart(2, "0")}` }];
  });
  return made.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ name }) => name);
}

/** Throws `invalid_input` for a name that PVE would refuse. */
export function assertName(name: string, type: GuestType): void {
  const shown = name.slice(0, 60);
  const facts = { argument: "name" };
  if (reserved[type].includes(name)) {
    throw new Problem("invalid_input", `Proxmox keeps the name ${shown} for itself.`, {
      next: "Choose another name.",
      facts,
    });
  }
  if (/^[a-zA-Z][a-zA-Z0-9_-]{1,39}$/.test(name)) return;
  throw new Problem("invalid_input", `"${shown}" is no name for a snapshot.`, {
    next: "2 to 40 letters, digits, _ and -, a letter first.",
    facts,
  });
}
