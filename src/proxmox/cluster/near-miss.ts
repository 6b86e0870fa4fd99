import { Problem } from "../../problem.ts";
import { closest } from "../../text.ts";
import { type GuestKind, given, guestWords, kindWord } from "../api/values.ts";
import type { GuestRow } from "./inventory.ts";
import type { Found } from "./names.ts";

/** `not_found` with the closest names, and with the rows that may be it but whose host is silent or that could not be read. */
export function notFound(
  reference: string,
  kind: "qemu" | "lxc" | "any",
  guests: readonly Found[],
  {
    silent,
    unread,
  }: { readonly silent: readonly GuestRow[]; readonly unread: readonly GuestRow[] },
): Problem {
  const kindName = kind === "qemu" ? "VM" : kind === "lxc" ? "container" : "guest";
  const what = /^[0-9]+$/.test(reference) ? `with vmid ${reference}` : `named "${reference}"`;
  const near = nearest(reference, guests);
  const closestWords = near
    .map(({ row, name }) => `${name ?? "(no name)"} (${row.vmid})`)
    .join(", ");
  const hints = [
    ...(near.length > 0 ? [`Closest: ${closestWords}.`] : []),
    ...(silent.length > 0
      ? [`Not known by name, their node is offline: ${silentWords(silent)}.`]
      : []),
    ...(unread.length > 0
      ? [
          `Without a name yet, and not read so far: ${silentWords(unread)}; ask again in a few seconds.`,
        ]
      : []),
  ];
  return new Problem("not_found", [`There is no ${kindName} ${what}.`, ...hints].join(" "), {
    next: nextStep(guests.length, near.length, kindName),
    facts: {
      reference,
      closest: near.map(({ row, name }) => ({
        vmid: row.vmid,
        name,
        type: row.type,
        node: row.node,
      })),
    },
  });
}

function nextStep(visible: number, near: number, kindName: string): string {
  if (visible === 0) {
    return `These credentials see no ${kindName} at all: get_connection_status says what they may do.`;
  }
  return near > 0 ? "Use one of these, or search with list_guests." : "Search with list_guests.";
}

function nearest(reference: string, guests: readonly Found[]): readonly Found[] {
  const names = new Map<string, Found>();
  for (const guest of guests) {
    names.set(guest.name ?? String(guest.row.vmid), guest);
    if (/^[0-9]+$/.test(reference)) names.set(String(guest.row.vmid), guest);
  }
  const found = closest(reference, [...names.keys()], 3).map((name) => names.get(name));
  return [...new Set(found.filter((guest) => guest !== undefined))];
}

function silentWords(rows: readonly GuestRow[]): string {
  const words = rows.slice(0, 3).map((row) => `${guestWords(row)} on ${row.node}`);
  return rows.length > 3 ? `${words.join(", ")} and ${rows.length - 3} more` : words.join(", ");
}

/** `ambiguous` with the candidates and the ids to tell them apart by. */
export function ambiguous(reference: string, matches: readonly Found[]): Problem {
  const words = matches.map(({ row, name }) => `${guestWords(row, name)} on ${row.node}`);
  return new Problem("ambiguous", `"${reference}" may mean ${words.join(" or ")}.`, {
    next: `Repeat the call with the id of the one you mean: ${matches.map(({ row }) => (/^[0-9]+$/.test(reference) ? `${row.type}/${row.vmid}` : row.vmid)).join(" or ")}.`,
    facts: { candidates: matches.map(candidate) },
  });
}

/** A guest as the facts of an error show it. */
export function candidate({ row, name }: Found): Readonly<Record<string, unknown>> {
  return { vmid: row.vmid, type: row.type, node: row.node, ...given({ name }) };
}

/** `invalid_input`: the reference means a guest of the other kind. */
export function otherKind(reference: string, kind: GuestKind, found: Found): Problem {
  const { row, name } = found;
  const asked = kind === "qemu" ? "VM" : "container";
  const subject = guestWords(row, name);
  return new Problem("invalid_input", `"${reference}" is ${subject}, not a ${asked}.`, {
    next: `Use the tool for ${kindWord(row.type)}s (get_${row.type === "qemu" ? "vm" : "container"}, clone_${row.type === "qemu" ? "vm" : "container"}).`,
    facts: { argument: kind === "qemu" ? "vm" : "container", ...candidate(found) },
  });
}
