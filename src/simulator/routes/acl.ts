import { listOf, roleIdFormat, splitList } from "../formats.ts";
import type { Access } from "../permissions.ts";
import { badParameters, died, forbidden } from "../refusal.ts";
import { isBuiltIn } from "../roles.ts";
import { type Call, needs, type Route } from "../route.ts";
import type { AclEntry, World } from "../world.ts";

const text = { type: "string", optional: true } as const;
const flag = { type: "boolean", optional: true } as const;

/** PVE::API2::ACL, Role and Group. */
export function aclRoutes(): Route[] {
  const privs = { ...text, list: true } as const;
  const roleid = { type: "string", format: roleIdFormat } as const;
  const modify = needs("/access", "Sys.Modify");
  return [
    { method: "GET", path: "/access/acl", handle: list },
    {
      method: "PUT",
      path: "/access/acl",
      permission: (access, given) => mayGrant(access, given["path"] ?? ""),
      parameters: {
        path: { type: "string" },
        roles: { type: "string", list: true, format: listOf(roleIdFormat) },
        users: { ...text, list: true },
        groups: { ...text, list: true },
        tokens: { ...text, list: true },
        propagate: flag,
        delete: flag,
      },
      handle: update,
    },
    { method: "GET", path: "/access/roles", handle: roles },
    { method: "GET", path: "/access/roles/{roleid}", parameters: { roleid }, handle: role },
    {
      method: "POST",
      path: "/access/roles",
      permission: modify,
      parameters: { roleid, privs },
      handle: createRole,
    },
    {
      method: "PUT",
      path: "/access/roles/{roleid}",
      permission: modify,
      parameters: { roleid, privs, append: { ...flag, requires: "privs" } },
      handle: updateRole,
    },
    {
      method: "DELETE",
      path: "/access/roles/{roleid}",
      permission: modify,
      parameters: { roleid },
      handle: removeRole,
    },
    { method: "GET", path: "/access/groups", handle: groups },
  ];
}

/** PVE::RPCEnvironment check_perm_modify: Permissions.Modify, or the right to make what the path names. */
function modifyPrivileges(path: string): string[] {
  const [, area = ""] = /^\/(storage|vms|pool)\/.+$/.exec(path) ?? [];
  const own: Record<string, string> = {
    storage: "Datastore.Allocate",
    vms: "VM.Allocate",
    pool: "Pool.Allocate",
  };
  const privilege = own[area];
  return privilege === undefined ? ["Permissions.Modify"] : ["Permissions.Modify", privilege];
}

export function mayGrant(access: Access, path: string): void {
  if (path === "") access.need("/access", "Permissions.Modify");
  else access.needAny(path, modifyPrivileges(path));
}

/** GET /access/acl: all of it, or what one might change. */
function list({ cluster, access }: Call): unknown[] {
  const all = access.hasAny("/access", ["Sys.Audit", "Permissions.Modify"]);
  return cluster.world.acl
    .filter(({ path }) => all || access.hasAny(path, modifyPrivileges(path)))
    .map(({ path, who, kind, role: roleid, propagate }) => ({
      path,
      ugid: who,
      type: kind,
      roleid,
      propagate: propagate ? 1 : 0,
    }));
}

const aclPath =
  /^\/(?:access(?:\/groups(?:\/[^/]+)?|\/realm(?:\/[^/]+)?)?|mapping(?:\/[^/]+){0,2}|nodes(?:\/[^/]+)?|pool(?:\/[^/]+){0,3}|sdn(?:\/.+)?|storage(?:\/[^/]+)?|vms(?:\/[1-9]\d{2,8})?)?$/;

/** Granting twice is fine, and so is taking away what was never granted. */
function update({ cluster, access, values }: Call): null {
  const { path = "", users = "", groups: given = "", tokens = "", propagate = "1" } = values;
  if (!aclPath.test(path)) throw badParameters({ path: `invalid ACL path '${path}'` });
  if (users + given + tokens === "") {
    throw badParameters({ users: "either 'users', 'groups' or 'tokens' is required." });
  }
  const changes: AclEntry[] = [];
  const named = { user: users, group: given, token: tokens } as const;
  for (const kind of ["user", "group", "token"] as const) {
    for (const role of splitList(values["roles"] ?? "")) {
      for (const who of splitList(named[kind])) {
        refuseGrant(cluster.world, access, { path, kind, role, who });
        changes.push({ path, who, kind, role, propagate: propagate === "1" });
      }
    }
  }
  const { world } = cluster;
  for (const change of changes) {
    world.acl = world.acl.filter(
      ({ path: at, who, role }) => at !== path || who !== change.who || role !== change.role,
    );
    if (values["delete"] !== "1") world.acl.push(change);
  }
  return null;
}

/** What is granted must exist, and nobody gives more than he has without Permissions.Modify. */
function refuseGrant(
  world: World,
  access: Access,
  grant: Pick<AclEntry, "path" | "kind" | "role" | "who">,
): void {
  const { kind, path, role: roleid, who } = grant;
  const failed = (what: string) => died(`ACL update failed: ${what}`);
  const privileges = world.roles.get(roleid);
  if (!privileges) throw failed(`role '${roleid}' does not exist`);
  if (!access.has(path, "Permissions.Modify")) {
    for (const privilege of privileges)
      if (!access.has(path, privilege)) throw forbidden(`${path}, ${privilege}`);
  }
  const [owner = "", name = ""] = who.split("!");
  if (kind === "user" && !world.users.has(who)) throw failed(`user '${who}' does not exist`);
  if (kind === "group" && !world.groups.has(who)) throw failed(`group '${who}' does not exist`);
  if (kind === "token" && !world.users.get(owner)?.tokens.has(name)) {
    throw failed(`no such token '${name}' for user '${owner}'`);
  }
}

function roles({ cluster }: Call): unknown[] {
  return [...cluster.world.roles].map(([roleid, privileges]) => ({
    roleid,
    privs: [...privileges].sort().join(","),
    special: isBuiltIn(roleid) ? 1 : 0,
  }));
}

/** GET /access/roles/{roleid}: {privilege: 1}. */
function role({ cluster, values }: Call): unknown {
  const { roleid = "" } = values;
  const privileges = cluster.world.roles.get(roleid);
  if (!privileges) throw died(`role '${roleid}' does not exist`);
  return Object.fromEntries([...privileges].map((privilege) => [privilege, 1]));
}

function privilegesOf({ cluster, values }: Call): Set<string> {
  const known = cluster.world.roles.get("Administrator") ?? new Set();
  const asked = splitList(values["privs"] ?? "");
  for (const privilege of asked) {
    if (!known.has(privilege)) {
      throw badParameters({ privs: `invalid format - invalid privilege '${privilege}'\n` });
    }
  }
  return new Set(asked);
}

function createRole(call: Call): null {
  const { roleid = "" } = call.values;
  const privileges = privilegesOf(call);
  const { roles: all } = call.cluster.world;
  if (all.has(roleid)) throw died(`create role failed: role '${roleid}' already exists`);
  all.set(roleid, privileges);
  return null;
}

function updateRole(call: Call): null {
  const { roleid = "", append } = call.values;
  const privileges = privilegesOf(call);
  const { roles: all } = call.cluster.world;
  const before = all.get(roleid);
  if (!before) throw died(`update role failed: role '${roleid}' does not exist`);
  if (isBuiltIn(roleid))
    throw died(`update role failed: auto-generated role '${roleid}' cannot be modified`);
  all.set(roleid, append === "1" ? new Set([...before, ...privileges]) : privileges);
  return null;
}

function removeRole({ cluster, values }: Call): null {
  const { roleid = "" } = values;
  const { world } = cluster;
  if (!world.roles.has(roleid)) throw died(`delete role failed: role '${roleid}' does not exist`);
  if (isBuiltIn(roleid))
    throw died(`delete role failed: auto-generated role '${roleid}' cannot be deleted`);
  world.roles.delete(roleid);
  world.acl = world.acl.filter((entry) => entry.role !== roleid);
  return null;
}

function groups({ cluster, access }: Call): unknown[] {
  const { world } = cluster;
  return [...world.groups]
    .filter(([id]) =>
      access.hasAny(`/access/groups/${id}`, ["User.Modify", "Sys.Audit", "Group.Allocate"]),
    )
    .map(([groupid, comment]) => ({
      groupid,
      users: [...world.users.values()]
        .filter((user) => user.groups.has(groupid))
        .map((user) => user.id)
        .join(","),
      ...(comment === "" ? {} : { comment }),
    }));
}
