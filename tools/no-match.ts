import type { GuestFilter, ListedGuest } from "../src/proxmox/guests/guests.ts";
import { closest, echoed } from "../src/text.ts";

/** So many of what there is are named. */
const most = 10;

/** What of a filter fits no guest at all, each with what there is instead; none where only the parts together fit none. */
export function strangers(
  filter: GuestFilter,
  guests: readonly ListedGuest[],
  nodes: readonly string[],
): readonly string[] {
  const of = (value: (guest: ListedGuest) => string | undefined) =>
    guests.map(value).filter((known) => known !== undefined);
  const tags = guests.flatMap(({ row }) => row.tags);
  return [
    part("node", filter.node, nodes),
    part(
      "pool with guests",
      filter.pool,
      of(({ row }) => row.pool),
    ),
    part(
      "tag",
      filter.tag?.toLowerCase(),
      tags.map((tag) => tag.toLowerCase()),
    ),
    part(
      "status",
      filter.status,
      of(({ row }) => row.status),
    ),
    /[*?]/.test(filter.name ?? "*")
      ? []
      : part(
          "guest",
          filter.name?.toLowerCase(),
          of(({ name }) => name?.toLowerCase()),
        ),
  ].flat();
}

function part(
  what: string,
  given: string | undefined,
  known: readonly string[],
): readonly string[] {
  if (given === undefined || known.includes(given)) return [];
  const all = [...new Set(known)].sort();
  const near = closest(given, all, 3);
  const more = all.length > most ? ` and ${all.length - most} more` : "";
  const there =
    near.length > 0
      ? `closest: ${near.join(", ")}`
      : `there are: ${all.slice(0, most).join(", ")}${more}`;
  return [
    `No ${what} is called ${echoed(JSON.stringify(given), 65)}; ${all.length === 0 ? "there is none" : there}.`,
  ];
}
