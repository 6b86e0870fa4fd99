import { isProblem, Problem } from "../../problem.ts";
import { oneLine } from "../../text.ts";
import type { Call } from "../api/call.ts";
import type { GuestConfig } from "../api/guest-config.ts";
import { guestWords, record, text } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { configQuestion } from "../cluster/lookup.ts";
import type { Identified } from "../guests/identity.ts";
import { pendingKeys } from "./config-request.ts";
import { type OptionChanges, secretOptions } from "./option-changes.ts";

interface Update {
  readonly guest: Identified;
  readonly changes: OptionChanges;
  /** The call can say which configuration its caller has seen. */
  readonly takesDigest: boolean;
}

/**
 * Somebody has changed the configuration since the caller looked: with its digest and the values in question as they are now. What
 * people wrote is in the facts only, and no part of our sentences.
 */
export function digestConflict(
  { guest, changes: { set, remove }, takesDigest }: Update,
  now: GuestConfig,
): Problem {
  const keys = [...Object.keys(set), ...remove].filter((key) => !secretOptions.includes(key));
  const current = Object.fromEntries(keys.map((key) => [key, now.raw[key]?.slice(0, 200)]));
  const plain = keys.filter((key) => isPlain(key, now.raw[key]));
  const others = keys.filter((key) => !plain.includes(key));
  const values = [
    ...plain.map((key) => ` ${key}: ${now.raw[key] ?? "not set"} now.`),
    ...(others.length > 0 ? [` The facts have ${others.join(", ")} as it is now.`] : []),
  ].join("");
  return new Problem(
    "conflict",
    `The configuration of ${words(guest)} was changed by somebody else meanwhile; nothing of this was done.${values}`,
    {
      next: `If the change is still right, repeat it${takesDigest ? ` with digest: "${now.digest ?? ""}"` : ""}.`,
      facts: { ...who(guest), digest: now.digest, current },
    },
  );
}

/** `local-lvm:vm-101-disk-0,iothread=1,size=20G` */
const volumeLine = /^[\w.-]+:(?:[0-9]+\/)?(?:vm|base|subvol)-[\w.-]+(?:,[a-z_]+=[\w.]{1,20})*$/;

/** Numbers and sizes, and a disk as PVE itself writes it: nothing that somebody could have worded. */
function isPlain(key: string, value: string | undefined): boolean {
  if (value === undefined || /^[0-9.]{1,20}[KMGT]?$/.test(value)) return true;
  const disk = /^(?:scsi|virtio|sata|ide|rootfs|unused)[0-9]*$/.test(key);
  return disk && value.length <= 200 && volumeLine.test(value);
}

/** A refusal of PVE's, or a failed task, in terms of what was to be changed; others are passed on. */
export async function explainUpdate(
  problem: Problem,
  update: Update,
  verbs: Verbs,
  call: Call,
): Promise<Problem> {
  const said = `${problem.message} ${text(problem.facts["exitstatus"]) ?? ""}`;
  if (isStale(problem)) {
    const now = await verbs.live(call, configQuestion(update.guest.row));
    return digestConflict(update, now);
  }
  if (/hotplug problem/.test(said)) return unplugged(problem, update, verbs, call);
  const volume = /volume '([^']+)' does not exist/.exec(said)?.[1];
  if (volume !== undefined) return missing(problem, volume);
  return isProblem(problem, "forbidden") ? rootOnly(problem) : problem;
}

/** PVE has refused, or its task has failed, because the digest is not that of now: nothing was done. */
export function isStale({ message, facts }: Problem): boolean {
  const said = `${message} ${text(facts["exitstatus"]) ?? ""}`;
  return /checksum mismatch \(file|detected modified configuration/.test(said);
}

/** A volume that is not there: the task says so, where a request would have been refused as not_found. */
function missing(problem: Problem, volume: string): Problem {
  return new Problem("not_found", problem.message, {
    next: "See with list_storage, with the storage named, what it holds.",
    facts: { ...problem.facts, volume },
    cause: problem,
  });
}

/** PVE writes all options, plugs one after the other, and tells which it could not; the others are in effect. */
async function unplugged(
  problem: Problem,
  { guest, changes }: Update,
  verbs: Verbs,
  call: Call,
): Promise<Problem> {
  const failed = failures(problem);
  const waiting = await pendingKeys(guest, verbs, call);
  const keys = [...Object.keys(changes.set), ...changes.remove];
  const done = keys.filter((key) => !waiting.includes(key) && !Object.hasOwn(failed, key));
  const left = waiting.filter((key) => !Object.hasOwn(failed, key));
  const texts = Object.entries(failed).map(([key, why]) => `${key} (${oneLine(why, 200)})`);
  const message = [
    `${words(guest)} could not take at once: ${texts.join(", ")}.`,
    `In effect: ${done.length === 0 ? "nothing" : done.join(", ")}.`,
    ...(left.length > 0 ? [`Waits for a restart too: ${left.join(", ")}.`] : []),
  ].join(" ");
  return new Problem(problem.kind === "task_failed" ? "task_failed" : "conflict", message, {
    next: `What failed waits for a restart: restart_guest {guest: "${guest.vmid}"} applies it; or set it back with update_guest.`,
    facts: { ...problem.facts, ...who(guest), failed, applied: done, pending: waiting },
    cause: problem,
  });
}

/** By option, from the `errors` of a 400 or from the text that ends a task. */
function failures({ facts }: Problem): Readonly<Record<string, string>> {
  const errors = record(facts["errors"]);
  if (Object.keys(errors).length > 0) {
    return Object.fromEntries(Object.entries(errors).map(([key, why]) => [key, String(why)]));
  }
  const exit = text(facts["exitstatus"]) ?? "";
  const pieces = exit.matchAll(
    /([a-z]+\d*): hotplug problem - (.*?)(?= [a-z]+\d*: hotplug problem|$)/g,
  );
  return Object.fromEntries([...pieces].map(([, key = "", why = ""]) => [key, why.trim()]));
}

/** PVE keeps what reaches into the host for root itself; for devices there are mappings. */
function rootOnly(problem: Problem): Problem {
  if (problem.facts["rootOnly"] !== true) return problem;
  if (/mount point type/.test(problem.message)) return hostPath(problem);
  const [, key = ""] = /only root can set '(\w+)' config/.exec(problem.message) ?? [];
  const kind = /^(hostpci|usb)/.exec(key)?.[1];
  if (kind === undefined) return problem;
  return new Problem("forbidden", problem.message, {
    next: `Devices of a host are root@pam's; others use a mapped one: ${key}: "mapping=NAME", made under Datacenter, Resource Mappings.`,
    facts: { ...problem.facts, key },
    cause: problem,
  });
}

function hostPath(problem: Problem): Problem {
  return new Problem("forbidden", problem.message, {
    next: "Directories and devices of a host are root@pam's to mount; give the container a volume instead, with attach_disk {size, storage, mountpoint}.",
    facts: problem.facts,
    cause: problem,
  });
}

function words(guest: Identified): string {
  return `${guestWords(guest, guest.name)} on ${guest.node}`;
}

function who({ vmid, type, node }: Identified) {
  return { vmid, type, node };
}
