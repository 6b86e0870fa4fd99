import { Access } from "../permissions.ts";
import { died, Refusal } from "../refusal.ts";
import type { Call, Route } from "../route.ts";
import { isWelcome, makeCsrfToken, makeTicket, userOfTicket } from "../tickets.ts";
import type { User } from "../world.ts";

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

/** Why a login fails is never told; a valid ticket is as good as the password. */
function login({ cluster, values }: Call): unknown {
  const { username = "", password = "", realm } = values;
  const id = realm === undefined ? username : `${username}@${realm}`;
  const { world, now } = cluster;
  const user = world.users.get(id);
  if (!user || !isWelcome(user, now) || !proves(user, password)) {
    throw new Refusal(401, "authentication failure");
  }
  cluster.log.write(now, cluster.host, "root@pam", `successful auth for user '${id}'`);
  const name = world.nodes.size > 1 ? { clustername: world.clusterName } : {};
  return {
    username: id,
    ticket: makeTicket(id, now),
    CSRFPreventionToken: makeCsrfToken(id, now),
    cap: capabilities(new Access(world, { user })),
    ...name,
  };

  function proves(candidate: User, given: string): boolean {
    if (candidate.password !== undefined && candidate.password === given) return true;
    return userOfTicket(world, given, now) === candidate;
  }
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

/** One's own with the old one beside it; root@pam may set anybody's. */
function changePassword({ cluster, access, values }: Call): null {
  const { userid = "", password, "confirmation-password": old } = values;
  const user = cluster.world.users.get(userid);
  if (access.name !== "root@pam") {
    if (access.name !== userid) access.need("/access/groups", "User.Modify");
    if (access.identity.user.password !== old) throw new Refusal(401, "authentication failure");
  }
  if (!user) throw died(`no such user ('${userid}')`);
  user.password = password ?? "";
  return null;
}
