import { Problem } from "../problem.ts";

/** What a 403 says is missing: one of the privileges on the path. */
export interface Missing {
  /** The ACL path, `/vms/100`; empty where PVE cannot make one of the names in the request. */
  readonly path: string;
  /** Any one of them is enough, unless `all`. */
  readonly privileges: readonly string[];
}

/**
 * Reads `Permission check failed (/vms/100, VM.Audit|VM.GuestAgent.Audit)`; undefined for the other forms of that text.
 * Also `(/, Sys.Modify for modifying tag 'x')`. An empty path is what PVE prints where a name can't be part of one.
 * PVE: pve-access-control src/PVE/RPCEnvironment.pm (check, check_any, raise_perm_exc)
 */
export function parseMissing(text: string): Missing | undefined {
  const match =
    /Permission check failed \((\/[^\s,()]*|), ([A-Za-z]+\.[A-Za-z.]+(?:[|, ]+[A-Za-z]+\.[A-Za-z.]+)*)(?: for [^)]*)?\)/.exec(
      text,
    );
  const [, path, privileges] = match ?? [];
  if (path === undefined || privileges === undefined) return undefined;
  return { path, privileges: privileges.split(/[|, ]+/) };
}

/** What a call needs whose refusal names nothing, because either of two rights would do. */
interface Unnamed {
  readonly request: RegExp;
  readonly privilege: string;
  /** The ACL path out of the request's, and how to say it. */
  readonly on: (match: RegExpExecArray) => { readonly path: string; readonly words: string };
}

/** PVE: qemu-server src/PVE/API2/Qemu.pm, pve-container src/PVE/API2/LXC.pm (create_vm, clone_vm); pve-manager PVE/API2/Nodes.pm */
const unnamed: readonly Unnamed[] = [
  {
    request: /^POST \/nodes\/[^/]+\/(?:qemu|lxc)(?:\/\d+\/clone)?$/,
    privilege: "VM.Allocate",
    on: () => ({
      path: "/vms",
      words:
        "the new guest (/vms/ and its vmid) or on the pool that it is to belong to (/pool/ and its name)",
    }),
  },
  {
    request: /^GET \/nodes\/([^/]+)\/query-url-metadata$/,
    privilege: "Sys.AccessNetwork",
    on: ([, node]) => ({ path: `/nodes/${node}`, words: `/nodes/${node}` }),
  },
];

/** `forbidden` for a refusal that names nothing; undefined where it is not known what the call needs. */
export function forbiddenUnnamed(
  text: string,
  principal: string,
  what: string,
): Problem | undefined {
  for (const { request, privilege, on } of unnamed) {
    const match = request.exec(what);
    if (!match) continue;
    const { path, words } = on(match);
    return grantable(
      `${what} needs ${privilege} on ${words}`,
      text,
      { path, privileges: [privilege] },
      principal,
    );
  }
  return undefined;
}

/**
 * The `pveum` command that grants it with the smallest role of PVE that holds it, `forbidden` as a whole.
 */
export function forbidden(
  text: string,
  missing: Missing,
  principal: string,
  what: string,
): Problem {
  const needs = `${what} needs ${missing.privileges.join(" or ")} on ${missing.path}`;
  return grantable(needs, text, missing, principal);
}

function grantable(needs: string, text: string, missing: Missing, principal: string): Problem {
  const [privilege = ""] = missing.privileges;
  const role = roleFor(privilege);
  const { path, privileges } = missing;
  const next = grantWords(path, role, principal);
  return new Problem("forbidden", `${needs}, which ${principal} lacks. Proxmox says: ${text}`, {
    next,
    facts: { path, privileges, role },
  });
}

/**
 * How an administrator grants a role, to a token or to a user. `principal` is an id or words about one (`API token ann@pve!agent`).
 * With privilege separation a token has what both it and its user have, so both may need it.
 */
export function grantWords(path: string, role: string, principal: string): string {
  const id = /\S+@\S+/.exec(principal)?.[0] ?? principal;
  const [user] = id.split("!");
  const to = (who: string) => `pveum acl modify ${path} ${who} --roles ${role}.`;
  if (user === id) return `Grant it on the host: ${to(`--users '${id}'`)}`;
  return `Grant it on the host: ${to(`--tokens '${id}'`)} With privilege separation both the token and its user need it; for the user: ${to(`--users '${user}'`)}`;
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
