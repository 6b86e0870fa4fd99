import { randomUUID } from "node:crypto";
import type { GuestConfig } from "../api/guest-config.ts";
import { properties, propertyString } from "../api/values.ts";

/**
 * What tells the VM of a template from every other: the last line of its notes names its image and the UUID of its firmware.
 * A clone inherits the notes and gets another UUID, and so does whatever is made by hand. PVE: API2/Qemu.pm (clone_vm: smbios1)
 */
export function marked(
  origin: string,
  options: Readonly<Record<string, string>> = {},
): { readonly smbios1: string; readonly description: string } {
  const { smbios1 = "", description } = options;
  const given = properties(smbios1, "");
  const uuid = given["uuid"] ?? randomUUID();
  const notes = description === undefined ? [] : [description.trimEnd(), ""];
  return {
    smbios1: propertyString({ uuid, ...given }, ""),
    description: [...notes, lineOf(origin, uuid)].join("\n"),
  };
}

/** Whether it was made from just this image, and is no copy of what was. */
export function isMarked({ notes = "", raw }: GuestConfig, origin: string): boolean {
  const { uuid } = properties(raw["smbios1"] ?? "", "");
  if (uuid === undefined) return false;
  const line = lineOf(origin, uuid);
  return notes.split("\n").some((one) => one.trim() === line);
}

function lineOf(origin: string, uuid: string): string {
  return `Made from ${origin}, mark ${uuid.toLowerCase()}`;
}
