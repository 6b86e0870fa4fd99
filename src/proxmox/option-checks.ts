import { Problem } from "../problem.ts";
import { conflict } from "./changes.ts";
import { assertAddress, ipConfig, publicKeys, servers } from "./cloud-init.ts";
import { assertOwn } from "./guest-disks.ts";
import { isDrive } from "./guest-options.ts";
import type { Identified } from "./identity.ts";
import { decoded, partsOf } from "./option-merge.ts";
import { guestWords } from "./values.ts";

/**
 * What can be known of values before they are sent: Proxmox takes some that the guest then can't use, and attaches the disks of other
 * guests. Throws `invalid_input` for addresses and keys that are none, `conflict` for volumes of others.
 */
export function assertValues(guest: Identified, set: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(set)) {
    const argument = `set.${key}`;
    if (isDrive(key)) assertVolume(guest, key, value);
    if (/^ipconfig\d+$/.test(key)) ipConfig(value, argument);
    if (key === "nameserver") servers(value.split(/[\s,;]+/), argument);
    if (key === "sshkeys") publicKeys([decoded(value)], argument);
    if (key === "boot") assertBoot(guest, set, value);
    if (guest.type === "lxc" && /^net\d+$/.test(key)) assertNic(key, value, argument);
  }
}

/** Devices that the guest has, or gets by the same call. Old ways of writing it are PVE's to judge. */
function assertBoot(guest: Identified, set: Readonly<Record<string, string>>, value: string): void {
  const devices = (partsOf("qemu", "boot", value)["order"] ?? "").split(/[;\s]+/).filter(Boolean);
  const strangers = devices.filter(
    (device) => (guest.config.raw[device] ?? set[device]) === undefined,
  );
  if (strangers.length === 0) return;
  const has = Object.keys(guest.config.raw).filter((key) =>
    /^(?:net\d|(?:scsi|virtio|sata|ide)\d)/.test(key),
  );
  throw new Problem(
    "invalid_input",
    `boot names what ${guestWords(guest, guest.name)} does not have: ${strangers.slice(0, 5).join(", ")}. Nothing was sent.`,
    {
      next: `Use its devices: ${has.sort().join(", ")}.`,
      facts: { vmid: guest.vmid, argument: "set.boot", devices: has },
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
