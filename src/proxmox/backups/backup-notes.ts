import { Problem } from "../../problem.ts";

/** PVE: VZDump.pm (generate_notes) */
const variables = ["guestname", "vmid", "node", "cluster"];
/** PVE: vzdump, notes-template. */
const maxChars = 1024;

/**
 * Notes as PVE takes them: a backslash and `n` are a new line there, two are one. Throws `invalid_input` for a variable that there is
 * not, which PVE notices when the backup is made and then leaves the notes out, and for more than it takes.
 */
export function notesTemplate(notes: string): string {
  const [, unknown] =
    [...notes.matchAll(/\{\{(\S+?)\}\}/g)].find(([, name = ""]) => !variables.includes(name)) ?? [];
  if (unknown !== undefined) {
    const known = variables.map((name) => `{{${name}}}`).join(", ");
    throw invalid(
      `Proxmox knows no variable {{${unknown.slice(0, 40)}}}`,
      `Use ${known}, or write it with a space: {{ … }} stays as it is.`,
    );
  }
  const template = notes.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  if (template.length <= maxChars) return template;
  throw invalid(
    `they have ${template.length} characters, as Proxmox counts them (two for each new line and backslash); it takes ${maxChars}`,
    "Shorten them.",
  );
}

function invalid(what: string, next: string): Problem {
  return new Problem("invalid_input", `notes: ${what}. Nothing was sent.`, {
    next,
    facts: { argument: "notes" },
  });
}
