import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import { type GuestConfig, isCloudInit } from "../api/guest-config.ts";
import type { GuestId } from "../api/values.ts";
import type { ChangeRequest, Params } from "../api/verbs.ts";
import type { Rest } from "../cluster/newcomers.ts";
import { type CloudInit, cloudInitParams, isWanted } from "../config/cloud-init.ts";
import { start } from "../creation/blueprint.ts";
import { freeDevices, readMappings } from "../creation/create-devices.ts";
import { conflict } from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";

/** What a clone is given beyond what it inherits. */
export interface Settings extends CloudInit {
  readonly cores?: number | undefined;
  readonly memory?: number | undefined;
  /** Names of mapped devices, beside those that it inherits. */
  readonly pci?: readonly string[] | undefined;
}

export interface Setup {
  readonly params: Params;
  /** Names of mapped devices; where they go depends on what the clone has. */
  readonly pci: readonly string[];
  readonly secrets: Readonly<Record<string, string>>;
  /** Whether anything is wished for at all. */
  readonly wanted: boolean;
}

/** As PVE's configuration has it. Throws `invalid_input` for keys and addresses that are none. */
export function setupOf(wish: Settings): Setup {
  const { params, secrets } = cloudInitParams(wish);
  const { cores, memory } = wish;
  const pci = readMappings(wish.pci ?? []);
  const own = cores !== undefined || memory !== undefined || pci.length > 0;
  return { params: { cores, memory, ...params }, pci, secrets, wanted: isWanted(wish) || own };
}

/** What a clone has only when it is set up. */
export function restOf(wish: Settings & { readonly start?: boolean | undefined }): Rest {
  const { cores, memory } = wish;
  return {
    lacks: [
      "its tag",
      ...(cores === undefined ? [] : ["its cores"]),
      ...(memory === undefined ? [] : ["its memory"]),
      ...(wish.pci?.length ? ["its PCI devices"] : []),
      ...(isWanted(wish) ? ["what cloud-init is to tell it"] : []),
      ...(wish.start ? [start.lacks] : []),
    ],
  };
}

/** For a plan, which shows no secret. */
export function hidden(setup: Setup): Setup {
  const names = Object.keys(setup.secrets);
  return { ...setup, secrets: Object.fromEntries(names.map((name) => [name, "(hidden)"])) };
}

/** Cloud-init reaches a guest by a drive of its own: without one nobody would hear. */
export function unheard(source: Identified, wish: Settings): readonly Problem[] {
  if (!isWanted(wish)) return [];
  const { disks, nics } = source.config;
  const drive = disks.some(({ volid }) => isCloudInit(volid));
  const deaf = (wish.ips ?? []).findIndex((_, at) => !nics.some(({ key }) => key === `net${at}`));
  if (drive && deaf >= 0) {
    const message = `ips[${deaf}]: the clone would have no NIC for it (net${deaf}). Nothing was sent.`;
    const next = `Give as many ips as the source has NICs: ${nics.length}.`;
    return [new Problem("invalid_input", message, { next, facts: { argument: `ips[${deaf}]` } })];
  }
  if (drive) return [];
  const next =
    "Clone a template that has one (create_template makes such), or leave user, password, ssh_keys, ips and nameservers out.";
  return [conflict(source, "has no cloud-init drive that would tell its clone", next)];
}

/** Tags the new guest as ours and sets it up; undefined where it is so already. */
export function setupRequest(
  guest: GuestId & { readonly node: string },
  config: Pick<GuestConfig, "tags" | "digest" | "raw">,
  { params, pci, secrets, wanted }: Setup,
  managedTag: string,
): ChangeRequest | undefined {
  const tagged = config.tags.includes(managedTag);
  if (tagged && !wanted) return undefined;
  return {
    method: "PUT",
    path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/config`,
    params: {
      ...(!tagged && { tags: [...config.tags, managedTag].join(";") }),
      ...params,
      ...freeDevices(pci, config.raw),
      ...secrets,
      digest: config.digest,
    },
    secrets: Object.values(secrets),
  };
}

/** `web-11` and two more: web-11, web-12, web-13; `web`: web-1, web-2, web-3. Throws `invalid_input` for one fixed address for all. */
export function series(
  name: string,
  count: number,
  ips: readonly string[] = [],
): readonly string[] {
  if (count > 1 && ips.some((text) => text.includes("/"))) {
    const message = "A fixed address is for one guest. Nothing was sent.";
    throw new Problem("invalid_input", message, {
      next: "With count give dhcp, or clone one after the other.",
      facts: { argument: "ips" },
    });
  }
  const [, base = "", digits = "1"] = /^(.*?)(\d+)$/.exec(name) ?? [undefined, `${name}-`];
  return Array.from({ length: count }, (_, index) => {
    return `${base}${String(Number(digits) + index).padStart(digits.length, "0")}`;
  });
}
