import { Access, flags } from "../permissions.ts";
import { died } from "../refusal.ts";
import type { Call, Route } from "../route.ts";

const text = { type: "string", optional: true } as const;

/** PVE::API2::AccessControl. */
export function accessRoutes(): Route[] {
  return [
    {
      method: "GET",
      path: "/access/permissions",
      parameters: { path: text, userid: text },
      handle: permissions,
    },
  ];
}

/** GET /access/permissions: {path: {privilege: propagate}}; one's own need nothing, others' Sys.Audit on /access. */
function permissions({ cluster, access, values }: Call): unknown {
  const asked = accessOf({ cluster, access, values });
  const path = values["path"];
  return path === undefined ? asked.all() : { [path]: flags(asked.privileges(path)) };
}

function accessOf({ cluster, access, values }: Call): Access {
  const { userid } = values;
  if (userid === undefined || userid === access.name) return access;
  const [name = "", tokenName] = userid.split("!");
  const own = name === access.identity.user.id && !access.identity.token;
  if (!own) access.need("/access", "Sys.Audit");
  const user = cluster.world.users.get(name);
  if (!user) throw died(`no such user ('${name}')`);
  if (tokenName === undefined) return new Access(cluster.world, { user });
  const value = user.tokens.get(tokenName);
  if (!value) throw died(`no such token '${tokenName}' for user '${name}'`);
  return new Access(cluster.world, { user, token: { name: tokenName, value } });
}
