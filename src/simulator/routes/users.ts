import { userIdFormat } from "../formats.ts";
import type { Access } from "../permissions.ts";
import { randomUuid } from "../random.ts";
import { badParameters, died, forbidden } from "../refusal.ts";
import type { Call, Permission, Route } from "../route.ts";
import type { Token, User } from "../world.ts";
import { addUser } from "../world-builder.ts";

const text = { type: "string", optional: true } as const;
const flag = { type: "boolean", optional: true } as const;
const time = { type: "integer", optional: true, minimum: 0 } as const;
const userFields = {
  comment: { ...text, maxLength: 2048 },
  email: { ...text, maxLength: 254 },
  enable: flag,
  expire: time,
  firstname: { ...text, maxLength: 1024 },
  lastname: { ...text, maxLength: 1024 },
  groups: { ...text, list: true },
  keys: text,
} as const;
const tokenFields = { comment: text, expire: time, privsep: flag } as const;
const userid = { type: "string", format: userIdFormat, maxLength: 64 } as const;

/** PVE::API2::User. */
export function userRoutes(): Route[] {
  const path = "/access/users/{userid}";
  const parameters = { userid };
  return [
    {
      method: "GET",
      path: "/access/users",
      parameters: { full: flag, enabled: flag },
      handle: list,
    },
    {
      method: "POST",
      path: "/access/users",
      permission: both(mayAllocate, mayModify),
      parameters: {
        ...userFields,
        userid,
        password: { ...text, minLength: 8, maxLength: 64 },
      },
      handle: create,
    },
    { method: "GET", path, permission: mayLookAt, parameters, handle: read },
    {
      method: "PUT",
      path,
      permission: mayModify,
      parameters: { ...userFields, ...parameters, append: { ...flag, requires: "groups" } },
      handle: update,
    },
    {
      method: "DELETE",
      path,
      permission: both(mayAllocate, mayModify),
      parameters,
      handle: remove,
    },
    ...tokenRoutes(`${path}/token`),
  ];
}

function tokenRoutes(path: string): Route[] {
  const one = `${path}/{tokenid}`;
  const tokenid = { type: "string", pattern: /^[A-Za-z][A-Za-z0-9.\-_]+$/ } as const;
  const parameters = { userid, tokenid };
  const permission = selfOrModify;
  return [
    {
      method: "GET",
      path,
      permission,
      parameters: { userid },
      handle: (call) => tokensOf(userOf(call)) ?? [],
    },
    {
      method: "GET",
      path: one,
      permission,
      parameters,
      handle: (call) => tokenEntry(tokenOf(call)),
    },
    {
      method: "POST",
      path: one,
      permission,
      parameters: { ...tokenFields, ...parameters },
      handle: createToken,
    },
    {
      method: "PUT",
      path: one,
      permission,
      parameters: { ...tokenFields, ...parameters },
      handle: updateToken,
    },
    { method: "DELETE", path: one, permission, parameters, handle: removeToken },
  ];
}

function both(first: Permission, second: Permission): Permission {
  return (access, given) => {
    first(access, given);
    second(access, given);
  };
}

function mayAllocate(access: Access, given: Readonly<Record<string, string>>): void {
  const realm = (given["userid"] ?? "").split("@").at(-1);
  access.need(`/access/realm/${realm}`, "Realm.AllocateUser");
}

function mayModify(access: Access): void {
  access.needAny("/access/groups", ["User.Modify"]);
}

function mayLookAt(access: Access): void {
  access.needAny("/access/groups", ["User.Modify", "Sys.Audit"]);
}

/** An `or`, so the refusal names nothing. */
function selfOrModify(access: Access, given: Readonly<Record<string, string>>): void {
  if (access.name === given["userid"]) return;
  if (!access.has("/access/groups", "User.Modify")) throw forbidden();
}

/** GET /access/users: all of them, or oneself alone. */
function list({ cluster, access, values }: Call): unknown[] {
  const all = access.hasAny("/access/groups", ["User.Modify", "Sys.Audit"]);
  return [...cluster.world.users.values()]
    .filter((user) => all || user.id === access.identity.user.id)
    .filter(
      ({ enabled }) => values["enabled"] === undefined || enabled === (values["enabled"] === "1"),
    )
    .map((user) => ({
      userid: user.id,
      "realm-type": user.id.endsWith("@pam") ? "pam" : "pve",
      ...userEntry(user),
      ...(values["full"] === "1"
        ? { groups: [...user.groups].join(","), tokens: tokensOf(user) }
        : {}),
    }));
}

function userEntry({ enabled, expire, comment, email }: User): Record<string, unknown> {
  return {
    enable: enabled ? 1 : 0,
    expire,
    ...(comment === "" ? {} : { comment }),
    ...(email === undefined ? {} : { email }),
  };
}

function tokensOf({ tokens }: User): unknown[] | null {
  if (tokens.size === 0) return null;
  return [...tokens].map(([tokenid, token]) => ({ tokenid, ...tokenEntry(token) }));
}

function tokenEntry({ privsep, expire, comment }: Token): Record<string, unknown> {
  return { privsep: privsep ? 1 : 0, expire, ...(comment === "" ? {} : { comment }) };
}

function userOf({ cluster, values }: Call): User {
  const id = values["userid"] ?? "";
  const user = cluster.world.users.get(id);
  if (!user) throw died(`no such user ('${id}')`);
  return user;
}

/** GET /access/users/{userid}: groups as a list, tokens by name. */
function read(call: Call): unknown {
  const user = userOf(call);
  const entries = [...user.tokens].map(([name, token]) => [name, tokenEntry(token)]);
  const tokens = entries.length === 0 ? null : Object.fromEntries(entries);
  return { ...userEntry(user), groups: [...user.groups], tokens };
}

function create({ cluster, values }: Call): null {
  const { userid: id = "", password } = values;
  if (cluster.world.users.has(id)) throw died(`create user failed: user '${id}' already exists`);
  const user = addUser(cluster.world, id);
  if (password !== undefined) user.password = password;
  apply(user, values);
  return null;
}

function update(call: Call): null {
  const { values } = call;
  const user = userOf(call);
  if (values["append"] !== "1" && values["groups"] !== undefined) user.groups.clear();
  apply(user, values);
  return null;
}

function apply(user: User, values: Call["values"]): void {
  const { comment, email, enable, expire, groups } = values;
  if (comment !== undefined) user.comment = comment;
  if (email !== undefined) user.email = email;
  if (enable !== undefined) user.enabled = enable === "1";
  if (expire !== undefined) user.expire = Number(expire);
  for (const group of (groups ?? "").split(/[,;\s]+/)) if (group !== "") user.groups.add(group);
}

/** With its tokens and everything that was granted to them. */
function remove(call: Call): null {
  const { world } = call.cluster;
  const user = userOf(call);
  if (user.id === "root@pam") throw died("delete user failed: cannot delete 'root@pam'");
  world.users.delete(user.id);
  world.acl = world.acl.filter(({ who }) => who !== user.id && !who.startsWith(`${user.id}!`));
  return null;
}

function tokenOf(call: Call): Token {
  const { tokenid = "" } = call.values;
  const user = userOf(call);
  const token = user.tokens.get(tokenid);
  if (!token) throw died(`no such token '${tokenid}' for user '${user.id}'`);
  return token;
}

/** The secret is told here and never again. */
function createToken(call: Call): unknown {
  const { tokenid = "", privsep = "1", expire, comment } = call.values;
  const user = userOf(call);
  if (user.tokens.has(tokenid)) throw badParameters({ tokenid: "Token already exists." });
  const secret = randomUuid(call.cluster.random);
  user.tokens.set(tokenid, {
    secret,
    privsep: privsep === "1",
    expire: Number(expire ?? 0),
    comment: comment ?? "",
  });
  const info = {
    privsep,
    ...(comment === undefined ? {} : { comment }),
    ...(expire === undefined ? {} : { expire }),
  };
  return { "full-tokenid": `${user.id}!${tokenid}`, info, value: secret };
}

function updateToken(call: Call): unknown {
  const { tokenid = "", privsep, expire, comment } = call.values;
  const old = tokenOf(call);
  const token: Token = {
    secret: old.secret,
    privsep: privsep === undefined ? old.privsep : privsep === "1",
    expire: expire === undefined ? old.expire : Number(expire),
    comment: comment ?? old.comment,
  };
  userOf(call).tokens.set(tokenid, token);
  return tokenEntry(token);
}

function removeToken(call: Call): null {
  const { world } = call.cluster;
  const { tokenid = "" } = call.values;
  tokenOf(call);
  const user = userOf(call);
  user.tokens.delete(tokenid);
  world.acl = world.acl.filter(({ who }) => who !== `${user.id}!${tokenid}`);
  return null;
}
