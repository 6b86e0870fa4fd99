import { Problem } from "../../problem.ts";
import { guestWords } from "../api/values.ts";
import type { GuestRow } from "../cluster/inventory.ts";
import { candidate } from "../cluster/near-miss.ts";

export function locked(who: string, { vmid, node }: GuestRow, lock: string): Problem {
  return new Problem("locked", `${who} is locked (${lock}): an operation on it is under way.`, {
    next: `See what runs with get_tasks {guest: "${vmid}"} and repeat this call when it has ended.`,
    facts: { vmid, type: "qemu", node, lock },
  });
}

export function inUse(who: string, { vmid, node }: GuestRow, status: string): Problem {
  return new Problem("conflict", `${who} is ${status}: a template is made of a stopped VM only.`, {
    next: `Stop it with stop_guest {guest: "${vmid}"} and repeat this call; or leave it, and choose another name.`,
    facts: { vmid, type: "qemu", node, status },
  });
}

export function taken(name: string, how: string): Problem {
  return new Problem("conflict", `"${name}" ${how}. Nothing was sent.`, {
    next: "Choose another name; or use that guest if it is what you want.",
    facts: { name },
  });
}

/** Which of them is meant, nobody knows. */
export function severalNamed(name: string, rows: readonly GuestRow[]): Problem {
  const words = rows.map((row) => `${guestWords(row)} on ${row.node}`).join(" and ");
  return new Problem("ambiguous", `"${name}" is ${words} already. Nothing was sent.`, {
    next: "Choose another name; or rename with update_guest, or delete with delete_guest, all but one, by vmid, and repeat this call.",
    facts: { candidates: rows.map((row) => candidate({ row, name })) },
  });
}

/** It is of that image, but not as this call wishes it. */
export function differs(name: string, row: GuestRow, differences: readonly string[]): Problem {
  const { vmid, node, type } = row;
  const who = `${guestWords(row)} on ${node}`;
  const message = `"${name}" is ${who} already, but differs in ${differences.join(", ")}. Nothing was sent.`;
  return new Problem("conflict", message, {
    next: `Leave these arguments out to have it as it is; or change it with update_guest {guest: "${vmid}"}; or choose another name; or remove it with delete_guest and repeat this call.`,
    facts: { name, vmid, type, node, differences },
  });
}

/** The same of one that is not there yet. */
export function differsRunning(name: string, differences: readonly string[]): Problem {
  const message = `"${name}" is being made right now, but differs in ${differences.join(", ")}. Nothing was sent.`;
  return new Problem("conflict", message, {
    next: "Repeat the call with the arguments of the first to wait for it, and change it then with update_guest; or choose another name.",
    facts: { name, differences },
  });
}
