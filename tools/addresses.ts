import { isIP } from "node:net";
import { Problem } from "../src/problem.ts";
import type { Told } from "../src/proxmox/guests/addresses.ts";
import type { ListedGuest } from "../src/proxmox/guests/guests.ts";
import type { ToolContext } from "../src/tool.ts";

/** An address is looked for among so many guests at the most: each of them is asked. */
const maxAsked = 500;
/** A host of containers has dozens; who wants them all asks get_vm. */
const maxShown = 4;
/** Guests named with a reason. */
const maxNamed = 20;

/** Why addresses are not known → the vmids of whom. */
export type Unasked = Readonly<Record<string, number[]>>;

/** What those of these guests that run tell of their addresses, by vmid. */
export async function ask(
  guests: readonly ListedGuest[],
  { proxmox, call }: ToolContext,
): Promise<ReadonlyMap<number, Told>> {
  const silent = new Set(proxmox.guests.silent(guests).map(({ node }) => node));
  const rows = guests.map(({ row }) => row).filter(({ status }) => status === "running");
  return proxmox.details.addresses.of(rows, silent, call);
}

/** Those that have this address, and who could not be asked for it. Throws `invalid_input`. */
export async function having(
  ip: string,
  guests: readonly ListedGuest[],
  context: ToolContext,
): Promise<{ readonly guests: readonly ListedGuest[]; readonly unasked: Unasked }> {
  if (isIP(ip) === 0) {
    throw new Problem("invalid_input", "ip is no IP address.", {
      next: "Give one address without its prefix length: 192.0.2.10 or 2001:db8::10.",
      facts: { argument: "ip" },
    });
  }
  const running = guests.filter(({ row }) => row.status === "running");
  if (running.length > maxAsked) {
    throw new Problem("invalid_input", `ip asks every guest that runs, and ${running.length} do.`, {
      next: `Narrow it to ${maxAsked} with node, pool, tag or name.`,
      facts: { argument: "ip" },
    });
  }
  const told = await ask(running, context);
  const wanted = canonical(ip);
  const has = ({ row }: ListedGuest) =>
    told.get(row.vmid)?.addresses?.some((address) => canonical(address) === wanted) === true;
  return { guests: running.filter(has), unasked: unasked(told) };
}

/** As rows of a list show them. */
export function addressFields(told: Told | undefined) {
  const addresses = told?.addresses ?? [];
  const more = addresses.length - maxShown;
  return {
    addresses: addresses.length > 0 ? addresses.slice(0, maxShown) : undefined,
    more_addresses: more > 0 ? more : undefined,
  };
}

export function unasked(told: ReadonlyMap<number, Told>): Unasked {
  const reasons: Record<string, number[]> = {};
  for (const [vmid, one] of told) {
    if (one.addresses !== undefined) continue;
    reasons[one.why] = [...(reasons[one.why] ?? []), vmid];
  }
  return reasons;
}

export function unaskedWords(reasons: Unasked): string {
  const groups = Object.entries(reasons).map(([why, vmids]) => {
    const more = vmids.length > maxNamed ? ` and ${vmids.length - maxNamed} more` : "";
    return `${vmids.slice(0, maxNamed).join(", ")}${more} (${why})`;
  });
  return `Addresses not known of: ${groups.join("; ")}.`;
}

/** IPv6 has many spellings. */
function canonical(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address}]`).hostname : address;
}
