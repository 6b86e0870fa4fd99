import { Problem } from "../../problem.ts";
import { isCloudInit } from "../api/guest-config.ts";
import { sizeBytes } from "../api/values.ts";
import { merge, type Parts } from "./option-merge.ts";

const gib = 1024 ** 3;

/**
 * A drive's options over what it has. Its volume stays: `conflict` where another one is given, `invalid_input` where another size
 * is, since both have tools of their own. What is in a CD drive may change.
 */
export function mergeDrive(key: string, current: Parts, given: Parts, drop: readonly string[]) {
  const { size, ...rest } = given;
  const sized = size !== undefined && sizeBytes(size) !== sizeBytes(current["size"]);
  if (sized) throw resized(key, size);
  const was = volume(current);
  const is = volume(rest);
  if (is === undefined || is === was) return merge(current, rest, drop);
  if (allocates(is, was, current)) return merge(current, options(rest), drop);
  const cd = current["media"] === "cdrom" && given["media"] !== "disk";
  if (!cd) throw occupied(key, was ?? "a volume");
  const { size: _, ...kept } = current;
  return merge(kept, rest, drop);
}

function volume(parts: Parts): string | undefined {
  return parts["file"] ?? parts["volume"];
}

/** Asked for again, the syntax of a new volume means the one that it has made. */
function allocates(is: string, was: string | undefined, current: Parts): boolean {
  const [, storage, size] = /^([^:]+):(cloudinit|\d+(?:\.\d+)?)$/.exec(is) ?? [];
  if (storage === undefined || !was?.startsWith(`${storage}:`)) return false;
  if (size === "cloudinit") return isCloudInit(was);
  return sizeBytes(current["size"]) === Math.round(Number(size) * gib);
}

function options({ file: _, volume: __, format: ___, ...rest }: Parts): Parts {
  return rest;
}

function resized(key: string, size: string): Problem {
  return new Problem("invalid_input", `The size of ${key} is not an option like the others.`, {
    next: `Grow it with resize_disk {disk: "${key}", size: "${size.slice(0, 20)}"}.`,
    facts: { argument: "set", key },
  });
}

function occupied(key: string, volid: string): Problem {
  return new Problem("conflict", `${key} holds ${volid} already; nothing was sent.`, {
    next: `Add a disk with attach_disk, or take this one out with detach_disk {disk: "${key}"} first.`,
    facts: { key, volume: volid },
  });
}

/** Options for a drive that is not there. */
export function missingDrive(key: string): Problem {
  return new Problem("not_found", `There is no ${key} to change.`, {
    next: "Look at its disks with get_vm or get_container; a new one is made with attach_disk.",
    facts: { key },
  });
}
