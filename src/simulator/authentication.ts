import type { Identity } from "./permissions.ts";
import { Refusal } from "./refusal.ts";
import type { ParsedRequest } from "./request.ts";
import { csrfHolds, isWelcome, userOfTicket } from "./tickets.ts";
import type { World } from "./world.ts";

type Headers = Readonly<Record<string, string>>;

/** Nobody: who asks a route that needs no login. */
export const stranger: Identity = {
  user: {
    id: "",
    enabled: false,
    expire: 0,
    comment: "",
    groups: new Set(),
    tokens: new Map(),
  },
};

/**
 * Who sends the request (PVE::HTTPServer auth_handler): a ticket in the cookie, or
 * `Authorization: PVEAPIToken=user@realm!name=secret`. Throws a bare 401; why it failed is never told.
 */
export function authenticate(
  world: World,
  headers: Headers,
  request: Pick<ParsedRequest, "method">,
  now: number,
): Identity {
  const ticket = cookieOf(headers);
  if (ticket) return byTicket(world, plainOf(ticket), headers, request.method, now);
  const header = headers["authorization"]?.trim() ?? "";
  if (!presentsToken(headers)) throw unauthorized("No ticket");
  return byToken(world, header, now);
}

/** A token that counts: beside a ticket it is not looked at. Methods that need no login may refuse it all the same. */
export function presentsToken(headers: Headers): boolean {
  return !cookieOf(headers) && /^\s*PVEAPIToken[= ]/.test(headers["authorization"] ?? "");
}

function cookieOf(headers: Headers): string | undefined {
  return /(?:^|;\s*)PVEAuthCookie=([^;]*)/.exec(headers["cookie"] ?? "")?.[1];
}

function plainOf(cookie: string): string {
  try {
    return decodeURIComponent(cookie);
  } catch {
    return cookie; // no ticket looks like that, so it will be refused
  }
}

function byTicket(
  world: World,
  ticket: string,
  headers: Headers,
  method: string,
  now: number,
): Identity {
  const user = userOfTicket(world, ticket, now);
  if (!user) throw unauthorized("Authentication failed!");
  if (method !== "GET" && !csrfHolds(user.id, headers["csrfpreventiontoken"], now)) {
    throw unauthorized("Permission denied - invalid csrf token");
  }
  return { user };
}

function byToken(world: World, header: string, now: number): Identity {
  const match = /^PVEAPIToken[= ]([^!]+)!([^=]+)=(.+)$/.exec(header);
  const user = world.users.get(match?.[1] ?? "");
  const name = match?.[2] ?? "";
  const token = user?.tokens.get(name);
  const expired = token !== undefined && token.expire > 0 && token.expire < now / 1000;
  if (!user || !isWelcome(user, now) || !token || token.secret !== match?.[3] || expired) {
    throw unauthorized("Authentication failed!");
  }
  return { user, token: { name, value: token } };
}

function unauthorized(text: string): Refusal {
  return new Refusal(401, text, { bare: true });
}
