import { Problem } from "../../problem.ts";
import type { GuestType } from "../api/values.ts";
import { assertOptions, canonicalKey, defaultKeyOf, defaultOf, isDrive } from "./guest-options.ts";
import { mergeDrive, missingDrive } from "./option-drives.ts";
import { merge, type Parts, partsOf, sameValue, written } from "./option-merge.ts";

export interface Wanted {
  /** Items of a list may stand on lines of their own. */
  readonly set: Readonly<Record<string, string>>;
  /** Options, or sub-keys of one: `net0.tag`. */
  readonly unset: readonly string[];
}

/** What has to be sent to get there; empty where the guest is as wanted. */
export interface OptionChanges {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** What one option is to become. */
interface Wish {
  readonly key: string;
  whole?: string;
  readonly parts: Record<string, string>;
  readonly drop: string[];
  remove: boolean;
}

export const secretOptions: readonly string[] = ["cipassword"];

/**
 * Holds what is wanted against the configuration: property strings are merged sub-key by sub-key, what is the same already is left
 * out. Throws `invalid_input` for unknown options, empty values and disks, `not_found` and `conflict` for drives.
 */
export function optionChanges(
  type: GuestType,
  raw: Readonly<Record<string, string>>,
  wanted: Wanted,
): OptionChanges {
  const set: Record<string, string> = {};
  const remove: string[] = [];
  for (const wish of wishes(type, wanted)) {
    const current = raw[wish.key];
    if (wish.remove) {
      assertRemovable(type, wish.key, current);
      if (current !== undefined) remove.push(wish.key);
      continue;
    }
    const value = wantedValue(type, wish, current);
    if (value !== undefined) set[wish.key] = value;
  }
  return { set, remove };
}

function wishes(type: GuestType, { set, unset }: Wanted): readonly Wish[] {
  const all = new Map<string, Wish>();
  const wish = (key: string) => {
    const found = all.get(key) ?? { key, parts: {}, drop: [], remove: false };
    all.set(key, found);
    return found;
  };
  assertOptions(type, keysOf(type, Object.keys(set)), "set");
  assertOptions(type, keysOf(type, unset), "unset");
  for (const [name, value] of Object.entries(set)) {
    const [key = "", part] = split(type, name);
    const text = textOf(key, value);
    if (part === undefined) wish(key).whole = text;
    else wish(key).parts[part] = text;
  }
  for (const name of unset) {
    const [key = "", part] = split(type, name);
    if (part === undefined) wish(key).remove = true;
    else wish(key).drop.push(part);
  }
  for (const one of all.values()) assertClear(type, one);
  return [...all.values()];
}

function keysOf(type: GuestType, names: readonly string[]): readonly string[] {
  return names.map((name) => split(type, name)[0] ?? "");
}

function split(type: GuestType, name: string): string[] {
  const at = name.indexOf(".");
  const key = canonicalKey(type, at < 0 ? name : name.slice(0, at));
  return at < 0 ? [key] : [key, name.slice(at + 1)];
}

function textOf(key: string, value: string): string {
  const text = value.trim();
  if (text === "") {
    throw new Problem(
      "invalid_input",
      `The value of ${key} is empty, which Proxmox takes for not given.`,
      { next: `To remove it, give unset: ["${key}"].`, facts: { argument: "set", key } },
    );
  }
  if (key === "description") return value;
  // Encoded once here and once more by the form.
  if (key === "sshkeys") return /\s/.test(text) ? encodeURIComponent(text) : text;
  if (key === "tags") assertTags(text);
  return joined(key, text);
}

/** A list of lines as its option writes it. */
function joined(key: string, text: string): string {
  if (key === "boot" && !text.includes("=") && /\d/.test(text)) {
    return `order=${text.split(/[\s;,]+/).join(";")}`;
  }
  const separator = key === "tags" ? ";" : /^(?:nameserver|searchdomain)$/.test(key) ? " " : ",";
  return text.split(/\s*\n\s*/).join(separator);
}

/** PVE: pve-common src/PVE/JSONSchema.pm, pve-tag */
function assertTags(text: string): void {
  const wrong = text.split(/[;,\s]+/).filter((tag) => !/^(?:[a-z0-9_][a-z0-9_+.-]*)?$/i.test(tag));
  if (wrong.length === 0) return;
  throw new Problem(
    "invalid_input",
    `Proxmox takes no tags like ${wrong.slice(0, 3).join(", ")}.`,
    {
      next: "Use letters, digits and _ + . - only, with a letter, digit or _ first.",
      facts: { argument: "set", key: "tags", tags: wrong.slice(0, 10) },
    },
  );
}

/** Set and removed at once, or sub-keys of what has none. */
function assertClear(type: GuestType, wish: Wish): void {
  const { key, whole, parts, drop, remove } = wish;
  const detailed = Object.keys(parts).length + drop.length > 0;
  const both = remove && (whole !== undefined || detailed);
  const flat = detailed && defaultKeyOf(type, key) === undefined;
  const twice = drop.find((part) => Object.hasOwn(parts, part));
  if (!both && !flat && twice === undefined) return;
  const what = flat ? `${key} has no parts` : `${key} is both set and removed`;
  throw new Problem("invalid_input", `${what}.`, {
    next: "Name each option once, in set or in unset.",
    facts: { argument: "unset", key },
  });
}

/** The volumes of disks are at stake there, so they have their own tool. A CD drive holds nothing of its own. */
function assertRemovable(type: GuestType, key: string, current: string | undefined): void {
  if (!isDrive(key)) return;
  if (current === undefined || partsOf(type, key, current)["media"] === "cdrom") return;
  throw new Problem("invalid_input", `${key} is a disk, and disks are not removed like options.`, {
    next: `Take it out with detach_disk {disk: "${key}"}; with destroy: true its data goes too.`,
    facts: { argument: "unset", key },
  });
}

/** The value to send, undefined where it is so already. */
function wantedValue(type: GuestType, wish: Wish, current: string | undefined): string | undefined {
  const { key, whole, parts } = wish;
  if (secretOptions.includes(key)) return whole;
  const given = whole !== undefined || Object.keys(parts).length > 0;
  if (!given && current === undefined) return undefined;
  const value =
    defaultKeyOf(type, key) === undefined ? (whole ?? "") : mergedValue(type, wish, current);
  const now = current ?? defaultOf(type, key);
  return now !== undefined && sameValue(type, key, now, value) ? undefined : value;
}

function mergedValue(type: GuestType, wish: Wish, current: string | undefined): string {
  const { key, whole, drop } = wish;
  const given = { ...(whole === undefined ? {} : partsOf(type, key, whole)), ...wish.parts };
  if (current === undefined) return written(type, key, fresh(type, key, given));
  const parts = partsOf(type, key, current);
  const merged = isDrive(key) ? mergeDrive(key, parts, given, drop) : merge(parts, given, drop);
  return written(type, key, merged);
}

/** What is new needs a few words that PVE does not add by itself. */
function fresh(type: GuestType, key: string, given: Parts): Parts {
  if (isDrive(key) && given["file"] === undefined && given["volume"] === undefined) {
    throw missingDrive(key);
  }
  if (isDrive(key) && /:iso\//.test(given["file"] ?? "")) return { ...given, media: "cdrom" };
  const index = /^net(\d+)$/.exec(key)?.[1];
  return type === "lxc" && index !== undefined ? { name: `eth${index}`, ...given } : given;
}
