import { createHash } from "node:crypto";
import type { User, World } from "./world.ts";

/** Seconds that tickets and CSRF tokens live (PVE::AccessControl). */
const lifetimeS = 7200;

/** `PVE:user@realm:HEXTIME::SIGNATURE`. */
export function makeTicket(userId: string, now: number): string {
  const plain = `PVE:${userId}:${hexTime(now)}`;
  return `${plain}::${signature(plain)}`;
}

/** `HEXTIME:SIGNATURE`; belongs to the user, not to a session. */
export function makeCsrfToken(userId: string, now: number): string {
  const time = hexTime(now);
  return `${time}:${signature(`${time}:${userId}`)}`;
}

/** The user that a ticket was made for, undefined when it is none, too old, or the user is not welcome any more. */
export function userOfTicket(world: World, ticket: string, now: number): User | undefined {
  const match = /^(PVE:([^:]+):([0-9A-F]{8}))::(.+)$/.exec(ticket);
  const [, plain = "", userId = "", time = "", signed] = match ?? [];
  if (!match || signed !== signature(plain) || !fresh(time, now)) return undefined;
  const user = world.users.get(userId);
  return user && isWelcome(user, now) ? user : undefined;
}

export function csrfHolds(userId: string, token: string | undefined, now: number): boolean {
  const [time = "", signed] = (token ?? "").split(":");
  return signed === signature(`${time}:${userId}`) && fresh(time, now);
}

/** Enabled and not expired. */
export function isWelcome(user: User, now: number): boolean {
  return user.enabled && (user.expire === 0 || user.expire >= now / 1000);
}

function fresh(time: string, now: number): boolean {
  const age = Math.floor(now / 1000) - Number.parseInt(time, 16);
  return age >= -300 && age <= lifetimeS;
}

function hexTime(now: number): string {
  return Math.floor(now / 1000)
    .toString(16)
    .toUpperCase()
    .padStart(8, "0");
}

/** Nobody attacks the simulator: it only has to tell its own from what was made up. */
function signature(text: string): string {
  return createHash("sha256").update(`simulated key ${text}`).digest("base64");
}
