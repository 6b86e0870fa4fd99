import * as z from "zod";

// Bounds are refinements: they are told to who breaks them, and not in every list of tools.

/** A name or a vmid; a number is taken for a vmid. The JSON schema stays a plain string, which every client understands. */
const reference = () =>
  z.preprocess(
    (value) => (typeof value === "number" ? String(value) : value),
    z.string().trim().min(1).max(100),
  );

export const vm = reference().describe("name or vmid");
export const container = reference().describe("name or vmid");
export const guest = reference().describe("name or vmid");
export const guests = z
  .array(reference())
  .refine((list) => list.length >= 1 && list.length <= 50, "1 to 50 guests")
  .describe("several instead of one");
/** PVE: pve-node. */
export const node = z
  .string()
  .trim()
  .max(63)
  .refine((name) => /^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$/.test(name), "the name of a node");
/** PVE: pve-storage-id. */
export const storage = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .refine((name) => /^[a-z][a-z0-9_.-]*[a-z0-9]$/i.test(name), "the name of a storage");
/** PVE: pve-poolid; pools may be nested. */
export const pool = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .refine((name) => /^[\w.-]+(?:\/[\w.-]+){0,2}$/.test(name), "the name of a pool");
/** PVE: pve-configid. */
export const snapshot = z
  .string()
  .max(40)
  .refine(
    (name) => /^[a-z][a-z0-9_-]+$/i.test(name),
    "the name of a snapshot: letters, digits, - and _, a letter first",
  );
export const maxAge = z
  .number()
  .refine((seconds) => seconds >= 0 && seconds <= 86_400, "0 to 86400 seconds")
  .optional()
  .describe("oldest acceptable answer; 0 asks Proxmox now");
export const wait = z
  .number()
  .refine((seconds) => seconds >= 0 && seconds <= 3_600, "0 to 3600 seconds")
  .default(45)
  .describe("seconds; 0 leaves the task alone");
export const dryRun = z.boolean().optional().describe("only plan");
export const limit = z
  .int()
  .refine((count) => count >= 1 && count <= 500, "1 to 500")
  .default(25);
export const cursor = z.string().max(200).optional().describe("from the answer before");
/** PVE: a dns-name, at most 63 characters a label. */
export const newName = z
  .string()
  .refine(
    (name) =>
      /^(?=.{1,253}$)[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/.test(
        name,
      ),
    "letters, digits and hyphens, like a host name",
  );
/** PVE: pve-vmid. */
export const newVmid = z
  .int()
  .refine((vmid) => vmid >= 100 && vmid <= 999_999_999, "between 100 and 999999999")
  .optional();

/** What every read tool of one guest takes besides the guest. */
export const reading = { max_age_s: maxAge };
/** What every tool that changes something takes. */
export const changing = { wait_s: wait, dry_run: dryRun };
