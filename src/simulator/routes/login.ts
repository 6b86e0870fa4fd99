import type { Values } from "../parameters.ts";
import { Access } from "../permissions.ts";
import { died, forbidden, Refusal } from "../refusal.ts";
import type { Call, Route } from "../route.ts";
import {
  isChallenge,
  isWelcome,
  makeChallenge,
  makeCsrfToken,
  makeTicket,
  userOfTicket,
} from "../tickets.ts";
import type { User, World } from "../world.ts";

const text = { type: "string", optional: true } as const;
const flag = { type: "boolean", optional: true } as const;

/** PVE::API2::AccessControl: tickets and passwords; PVE::API2::Domains for the login dialog. */
export function loginRoutes(): Route[] {
  return [
    { method: "GET", path: "/access/domains", open: true, handle: domains },
    {
      method: "POST",
      path: "/access/ticket",
      open: true,
      ticketOnly: true,
      parameters: {
        username: { type: "string", maxLength: 64 },
        password: { type: "string" },
        realm: { ...text, maxLength: 32 },
        otp: text,
        path: { ...text, requires: "privs" },
        privs: { ...text, requires: "path" },
        "new-format": flag,
        "tfa-challenge": text,
      },
      handle: login,
    },
    {
      method: "PUT",
      path: "/access/password",
      ticketOnly: true,
      permission: mayChange,
      parameters: {
        userid: { type: "string", maxLength: 64 },
        password: { type: "string", minLength: 8, maxLength: 64 },
        "confirmation-password": { ...text, minLength: 5, maxLength: 64 },
      },
      handle: changePassword,
    },
  ];
}

function domains(): unknown[] {
  return [
    { realm: "pam", type: "pam", comment: "Linux PAM standard authentication" },
    { realm: "pve", type: "pve", comment: "Proxmox VE authentication server" },
  ];
}

/** Why a login fails is never told. */
function login({ cluster, values }: Call): unknown {
  const { username = "", realm, path, privs } = values;
  const id = realm === undefined ? username : `${username}@${realm}`;
  const { world, now } = cluster;
  const user = world.users.get(id);
  const step = user && isWelcome(user, now) ? stepOf(world, user, values, now) : "refused";
  if (!user || step === "refused") throw failed();
  const access = new Access(world, { user });
  if (path !== undefined) {
    if (!access.hasAny(path, (privs ?? "").split(/[,; ]+/))) throw failed();
    return { username: id, cap: capabilities(access) };
  }
  cluster.log.write(now, cluster.host, "root@pam", `successful auth for user '${id}'`);
  const needed = step === "challenged";
  const ticket = needed ? makeChallenge(world, id, now) : makeTicket(world, id, now);
  const named = world.nodes.size > 1 && access.has("/", "Sys.Audit");
  return {
    username: id,
    ticket,
    CSRFPreventionToken: makeCsrfToken(id, now),
    ...(needed ? { NeedTFA: 1 } : { cap: capabilities(access) }),
    ...(named && { clustername: world.clusterName }),
  };
}

/** A valid ticket is as good as the password with all that goes with it; root@pam's is so for everybody. */
function stepOf(
  world: World,
  user: User,
  values: Values,
  now: number,
): "refused" | "challenged" | "done" {
  const { password: given = "", otp, "tfa-challenge": challenge } = values;
  const second = (code: string) => user.totp !== undefined && code === `totp:${user.totp}`;
  if (challenge !== undefined) {
    const answered = otp === undefined && isChallenge(world, challenge, user.id, now);
    return answered && second(given) ? "done" : "refused";
  }
  const holder = userOfTicket(world, given, now);
  if (holder === user || holder?.id === "root@pam") return "done";
  if (user.password === undefined || user.password !== given) return "refused";
  if (user.totp === undefined) return "done";
  if (otp === undefined) return "challenged";
  return second(otp) ? "done" : "refused";
}

function failed(): Refusal {
  return new Refusal(401, "authentication failure");
}

const areas: Readonly<Record<string, RegExp>> = {
  vms: /^(?:VM\.|Permissions\.Modify$)/,
  access: /^(?:User\.|Group\.|Permissions\.Modify$)/,
  storage: /^(?:Datastore\.|Permissions\.Modify$)/,
  nodes: /^(?:Sys\.|Permissions\.Modify$)/,
  sdn: /^(?:SDN\.|Permissions\.Modify$)/,
  mapping: /^(?:Mapping\.|Permissions\.Modify$)/,
  dc: /^(?:Sys\.Audit|Sys\.Modify|SDN\..*)$/,
};

/** What a user may do anywhere, by area of the web interface (PVE::RPCEnvironment compute_api_permission). */
function capabilities(access: Access): Record<string, Record<string, 1>> {
  const held = new Set(
    Object.values(access.all()).flatMap((privileges) => Object.keys(privileges)),
  );
  const answer: Record<string, Record<string, 1>> = {};
  for (const [area, pattern] of Object.entries(areas)) {
    const names = [...held].filter((name) => pattern.test(name));
    answer[area] = Object.fromEntries(names.map((name) => [name, 1]));
  }
  return answer;
}

/** An `or`, so the refusal names nothing. */
function mayChange(access: Access, { userid = "" }: Readonly<Record<string, string>>): void {
  if (access.name === userid) return;
  const realm = `/access/realm/${userid.split("@").at(-1)}`;
  const both =
    access.has(realm, "Realm.AllocateUser") && access.has("/access/groups", "User.Modify");
  if (!both) throw forbidden();
}

/** One's own with the old one beside it; root@pam may set anybody's. */
function changePassword({ cluster, access, values }: Call): null {
  const { userid = "", password, "confirmation-password": old } = values;
  const user = cluster.world.users.get(userid);
  if (access.name !== "root@pam") {
    if (access.identity.user.password !== old) throw failed();
  }
  if (!user) throw died(`no such user ('${userid}')`);
  user.password = password ?? "";
  return null;
}
