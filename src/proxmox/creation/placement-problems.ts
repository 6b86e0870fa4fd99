import { Problem } from "../../problem.ts";
import { closest } from "../../text.ts";
import { storageOf } from "../storage/volumes.ts";

/** What names no file of a storage. */
export function noVolid(volid: string, argument: string): Problem {
  const path = volid.startsWith("/");
  const what = path
    ? `${argument}: paths on a host are for root@pam only.`
    : `${argument}: "${volid.slice(0, 80)}" names no file on a storage.`;
  return new Problem("invalid_input", `${what} Nothing was sent.`, {
    next: "Give a volid as list_storage shows it, such as local:import/debian.qcow2 or local:iso/debian.iso; download_storage brings files there.",
    facts: { argument },
  });
}

/** Whose volume it is. */
export function owned(volid: string, vmid: number, argument: string): Problem {
  return new Problem("conflict", `${volid} belongs to guest ${vmid}. Nothing was sent.`, {
    next: /^(?:rootfs|mp\d+)$/.test(argument)
      ? `Give a new volume, such as ${storageOf(volid)}:8.`
      : `Have it copied: ${storageOf(volid)}:0,import-from=${volid}.`,
    facts: { argument, volid, vmid },
  });
}

/** `all`: what the storage holds. */
export function missing(volid: string, argument: string, all: readonly string[]): Problem {
  const near = closest(volid, all, 3);
  const hint = near.length === 0 ? "" : ` Closest: ${near.join(", ")}.`;
  return new Problem("not_found", `There is no ${volid}.${hint} Nothing was sent.`, {
    next: `See what is there with list_storage {storage: "${storageOf(volid)}"}, or fetch it with download_storage.`,
    facts: { argument, volid, closest: near },
  });
}
