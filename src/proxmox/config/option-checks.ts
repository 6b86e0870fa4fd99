import { Problem } from "../../problem.ts";
import { type GuestType, guestWords } from "../api/values.ts";
import { conflict } from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import { assertOwn } from "../storage/volume-owner.ts";
import { assertAddress, ipConfig, publicKeys, servers } from "./cloud-init.ts";
import { isDrive } from "./guest-options.ts";
import { decoded, partsOf } from "./option-merge.ts";

/**
 * What can be known of values before they are sent: Proxmox takes some that the guest then can't use, and attaches the disks of other
 * guests. Throws `invalid_input` for addresses and keys that are none, `conflict` for volumes of others.
 */
export function assertValues(guest: Identified, set: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(set)) {
    if (isDrive(key)) assertVolume(guest, key, value);
  }
  assertFormats(guest.type, set, "set");
  const who = guestWords(guest, guest.name);
  assertBoot(
    set["boot"],
    { ...guest.config.raw, ...set },
    { who, vmid: guest.vmid, argument: "set.boot" },
  );
}

/** The same for options of which any guest may have any; `argument` holds them. Throws `invalid_input`. */
export function assertFormats(
  type: GuestType,
  options: Readonly<Record<string, string>>,
  argument: string,
): void {
  for (const [key, value] of Object.entries(options)) {
    const at = `${argument}.${key}`;
    if (/^ipconfig\d+$/.test(key)) ipConfig(value, at);
    if (key === "nameserver") servers(value.split(/[\s,;]+/), at);
    if (key === "sshkeys") publicKeys([decoded(value)], at);
    if (type === "lxc" && /^net\d+$/.test(key)) assertNic(key, value, at);
  }
}

/**
 * A boot order names devices that are there when all is done; `config` is what there is then. Old ways of writing it are PVE's to
 * judge. Throws `invalid_input`.
 */
export function assertBoot(
  boot: string | undefined,
  config: Readonly<Record<string, unknown>>,
  subject: { readonly who: string; readonly vmid?: number; readonly argument: string },
): void {
  const devices = (partsOf("qemu", "boot", boot ?? "")["order"] ?? "").split(/[;\s]+/);
  const strangers = devices.filter((device) => device !== "" && config[device] === undefined);
  if (strangers.length === 0) return;
  const has = Object.keys(config).filter(
    (key) => /^(?:net\d|(?:scsi|virtio|sata|ide)\d)/.test(key) && config[key] !== undefined,
  );
  const { who, ...facts } = subject;
  const missing = strangers.slice(0, 5).join(", ");
  throw new Problem(
    "invalid_input",
    `boot names what ${who} does not have: ${missing}. Nothing was sent.`,
    {
      next: has.length === 0 ? "Leave boot out." : `Use its devices: ${has.sort().join(", ")}.`,
      facts: { ...facts, devices: has },
    },
  );
}

function assertNic(key: string, value: string, argument: string): void {
  const parts = partsOf("lxc", key, value);
  for (const name of ["ip", "ip6", "gw", "gw6"] as const) {
    assertAddress(parts[name], name, argument);
  }
}

/** What is new to the guest: its own volume, an image, one that is to be made. Paths of the host are root's: PVE says so. */
function assertVolume(guest: Identified, key: string, value: string): void {
  const { file, volume, media } = partsOf(guest.type, key, value);
  const volid = file ?? volume ?? "none";
  const holder = guest.config.disks.find((disk) => disk.volid === volid && disk.key !== key);
  if (holder && !holder.key.startsWith("unused") && media !== "cdrom") {
    const next = `Take it out there first: detach_disk {guest: "${guest.vmid}", disk: "${holder.key}"}.`;
    throw conflict(guest, `has ${volid.slice(0, 100)} as ${holder.key} already`, next);
  }
  const known = guest.config.disks.some((disk) => disk.volid === volid);
  const made = /:(?:cloudinit|\d+(?:\.\d+)?)$/.test(volid);
  if (known || made || /^(?:none|cdrom|\/.*)$/.test(volid) || /:iso\//.test(volid)) return;
  assertOwn(guest, volid);
}
