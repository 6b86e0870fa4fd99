import { isIP } from "node:net";
import { Problem } from "../src/problem.ts";
import type { SilentNode } from "../src/proxmox/cluster/silence.ts";
import type { NoTurn, Told } from "../src/proxmox/guests/addresses.ts";
import type { ListedGuest } from "../src/proxmox/guests/guests.ts";
import type { ToolContext } from "../src/tool.ts";

/** An address is looked for among so many guests at the most: each of them is asked. */
const maxAsked = 500;
/** A host of containers has dozens; who wants them all asks get_vm. */
const maxShown = 4;
/** The reason of who had no turn: fewer at once would all have one. */
const noTurn: NoTurn = "not reached in time";
/** Guests named with a reason. */
const maxNamed = 20;

/** Why addresses are not known → the vmids of whom. */
export type Unasked = Readonly<Record<string, number[]>>;

/** What guests have told of their addresses, by vmid. */
export type AllTold = ReadonlyMap<number, Told>;

/** What those of these guests that run, or may run, tell. */
export async function ask(
  guests: readonly ListedGuest[],
  { proxmox, call }: ToolContext,
): Promise<AllTold> {
  // One that has not reported for minutes may answer all the same.
  const away = proxmox.guests.silent(guests).filter(({ reason }) => reason === "offline");
  const silent = new Set(away.map(({ node }) => node));
  return proxmox.details.addresses.of(
    guests.filter(mayRun).map(({ row }) => row),
    silent,
    call,
  );
}

/** Those that have this address (on `node` where it is asked for), and what all have told. Throws `invalid_input`. */
export async function having(
  { ip, node }: { readonly ip: string; readonly node?: string | undefined },
  guests: readonly ListedGuest[],
  context: ToolContext,
): Promise<{ readonly guests: readonly ListedGuest[]; readonly told: AllTold }> {
  const wanted = canonical(ip);
  if (wanted === undefined) throw wrong("ip is no IP address.");
  if (own.test(wanted)) throw wrong("ip is an address that every guest may have for itself.");
  const running = guests.filter(mayRun);
  if (running.length > maxAsked) {
    throw new Problem("invalid_input", `ip asks every guest that runs, and ${running.length} do.`, {
      next: `Narrow it to ${maxAsked} with node, pool, tag or name.`,
      facts: { argument: "ip" },
    });
  }
  const told = await ask(running, context);
  const has = ({ row }: ListedGuest) =>
    told.get(row.vmid)?.addresses?.some((address) => canonical(address) === wanted) === true;
  return { guests: movedOnes(running.filter(has), told, node), told };
}

/** The same guests, each on the node where it was found; those of `node`, where one is asked for. */
export function movedOnes(
  guests: readonly ListedGuest[],
  told: AllTold,
  node: string | undefined,
): readonly ListedGuest[] {
  const placed = guests.map((guest) => {
    const now = told.get(guest.row.vmid)?.node;
    return now === undefined ? guest : { ...guest, row: { ...guest.row, node: now } };
  });
  return placed.filter(({ row }) => node === undefined || row.node === node);
}

/** Loopback and link-local. */
const own = /^(?:127\.|169\.254\.|\[::1\]$|\[fe[89ab])/;

function wrong(words: string): Problem {
  return new Problem("invalid_input", words, {
    next: "Give one address without its prefix length: 192.0.2.10 or 2001:db8::10.",
    facts: { argument: "ip" },
  });
}

/** Rows lag: one that says `unknown` may belong to a guest that others have just made. */
function mayRun({ row }: ListedGuest): boolean {
  return row.status !== "stopped" && !row.template;
}

/** Nodes that have not answered for their guests, though they are not known to be away. */
export function silentBy(told: AllTold, guests: readonly ListedGuest[]): readonly SilentNode[] {
  const nodes = guests
    .filter(({ row }) => told.get(row.vmid)?.nodeIsSilent)
    .map(({ row }) => told.get(row.vmid)?.node ?? row.node);
  return [...new Set(nodes)].sort().map((node) => ({ node, reason: "does not answer" }));
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

export function unasked(told: AllTold): Unasked {
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
  const fewer = noTurn in reasons ? " Ask for fewer: node, pool, tag or name narrow it." : "";
  return `Addresses not known of: ${groups.join("; ")}.${fewer}`;
}

/** IPv6 has many spellings; a zone (`%eth0`) is each host's own. Undefined for what is no address. */
function canonical(address: string): string | undefined {
  const plain = address.split("%", 1)[0] ?? "";
  const kind = address === plain || isIP(address) === 6 ? isIP(plain) : 0;
  if (kind === 6) return new URL(`http://[${plain}]`).hostname;
  return kind === 4 ? plain : undefined;
}
