import { Problem } from "../problem.ts";

/** What a 403 says is missing: one of the privileges on the path. */
export interface Missing {
  /** The ACL path, `/vms/100`. */
  readonly path: string;
  /** Any one of them is enough, unless `all`. */
  readonly privileges: readonly string[];
}

/**
 * Reads `Permission check failed (/vms/100, VM.Audit|VM.GuestAgent.Audit)`; undefined for the other forms of that text.
 * An empty path is what PVE prints for the root.
 * PVE: pve-access-control src/PVE/RPCEnvironment.pm (check, check_any, raise_perm_exc)
 */
export function parseMissing(text: string): Missing | undefined {
  const match =
    /Permission check failed \((\/[^\s,()]*|), ([A-Za-z.]+(?:[|, ]+[A-Za-z.]+)*)\)/.exec(text);
  const [, path, privileges] = match ?? [];
  if (path === undefined || privileges === undefined) return undefined;
  return { path: path || "/", privileges: privileges.split(/[|, ]+/) };
}

/**
 * The `pveum` command that grants it with the smallest role of PVE that holds it, `forbidden` as a whole.
 * With privilege separation a token has what both it and its user have, so both may need it.
 */
export function forbidden(
  text: string,
  missing: Missing,
  principal: string,
  what: string,
): Problem {
  const [privilege = ""] = missing.privileges;
  const role = roleFor(privilege);
  const grant = `pveum acl modify ${missing.path}`;
  const user = principal.split("!")[0] ?? principal;
  const next = principal.includes("!")
    ? `Grant it on the host: ${grant} --tokens '${principal}' --roles ${role}. With privilege separation both the token and its user need it; for the user: ${grant} --users '${user}' --roles ${role}.`
    : `Grant it on the host: ${grant} --users '${user}' --roles ${role}.`;
  return new Problem(
    "forbidden",
    `${what} needs ${missing.privileges.join(" or ")} on ${missing.path}, which ${principal} lacks. Proxmox says: ${text}`,
    { next, facts: { path: missing.path, privileges: missing.privileges, role } },
  );
}

/**
 * The built-in roles from the smallest on, as patterns over privilege names; names differ between PVE 8 and 9 and both are met.
 * PVE: pve-access-control src/PVE/AccessControl.pm ($special_roles, create_roles)
 */
const roles: readonly (readonly [RegExp, string])[] = [
  [/\.Audit$/, "PVEAuditor"],
  [/^VM\.Clone$/, "PVETemplateUser"],
  [/^VM\.(?:PowerMgmt|Console|Backup|Config\.(?:CDROM|Cloudinit))$/, "PVEVMUser"],
  [/^VM\.GuestAgent\.File(?:Read|Write|SystemMgmt)$/, "PVEVMUser"],
  [/^VM\./, "PVEVMAdmin"],
  [/^Datastore\.AllocateSpace$/, "PVEDatastoreUser"],
  [/^Datastore\./, "PVEDatastoreAdmin"],
  [/^SDN\.Use$/, "PVESDNUser"],
  [/^SDN\./, "PVESDNAdmin"],
  [/^Mapping\.Use$/, "PVEMappingUser"],
  [/^Mapping\./, "PVEMappingAdmin"],
  [/^Pool\./, "PVEPoolAdmin"],
  [/^(?:User\.Modify|Group\.Allocate|Realm\.AllocateUser)$/, "PVEUserAdmin"],
  [/^Sys\.(?:Console|Syslog)$/, "PVESysAdmin"],
];

/** The smallest built-in role that holds the privilege. */
export function roleFor(privilege: string): string {
  return roles.find(([pattern]) => pattern.test(privilege))?.[1] ?? "Administrator";
}
