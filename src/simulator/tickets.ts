import { createHash } from "node:crypto";
import type { TicketKey, User, World } from "./world.ts";

/** Seconds that tickets and CSRF tokens live (PVE::AccessControl). */
const lifetimeS = 7200;
/** How long a key signs, and how long after that the clock of another node may still do so. */
const keyLifetimeMs = 86_400_000;
const graceS = 300;

/** `PVE:user@realm:HEXTIME::SIGNATURE`. */
export function makeTicket(world: World, userId: string, now: number): string {
  return signed(world, `PVE:${userId}:${hexTime(now)}`, "", now);
}

/** What a login with a second factor gets first: `PVE:!tfa!…:HEXTIME::SIGNATURE`, good for nothing but the second step. */
export function makeChallenge(world: World, userId: string, now: number): string {
  const asked = encodeURIComponent(JSON.stringify({ totp: true }));
  return signed(world, `PVE:!tfa!${asked}:${hexTime(now)}`, userId, now);
}

export function isChallenge(world: World, ticket: string, userId: string, now: number): boolean {
  return ticket.startsWith("PVE:!tfa!") && holds(world, ticket, userId, now) !== undefined;
}

/** Every ticket is void at once: the key was deleted and made anew. */
export function replaceKey(world: World, now: number): void {
  world.ticketKeys = [newKey(keysOf(world, now)[0], now)];
}

/** `HEXTIME:SIGNATURE`; belongs to the user, not to a session, and has a key of its own. */
export function makeCsrfToken(userId: string, now: number): string {
  const time = hexTime(now);
  return `${time}:${csrfSignature(time, userId)}`;
}

/** The user that a ticket was made for, undefined when it is none, too old, or the user is not welcome any more. */
export function userOfTicket(world: World, ticket: string, now: number): User | undefined {
  const user = world.users.get(holds(world, ticket, "", now) ?? "");
  return user && isWelcome(user, now) ? user : undefined;
}

export function csrfHolds(userId: string, token: string | undefined, now: number): boolean {
  const [time = "", given] = (token ?? "").split(":");
  return given === csrfSignature(time, userId) && fresh(time, now);
}

/** Enabled and not expired. */
export function isWelcome(user: User, now: number): boolean {
  return user.enabled && (user.expire === 0 || user.expire >= now / 1000);
}

function fresh(time: string, now: number): boolean {
  const age = Math.floor(now / 1000) - Number.parseInt(time, 16);
  return age >= -graceS && age <= lifetimeS;
}

function hexTime(now: number): string {
  return Math.floor(now / 1000)
    .toString(16)
    .toUpperCase()
    .padStart(8, "0");
}

/** Whose a ticket is that was signed by the present key, or by the one before it until shortly after its end. */
function holds(world: World, ticket: string, bound: string, now: number): string | undefined {
  const [, plain = "", holder, time = "", given] =
    /^(PVE:([^:]+):([0-9A-F]{8}))::(.+)$/.exec(ticket) ?? [];
  const [key, former] = keysOf(world, now);
  const by = (one: TicketKey | undefined) => one && given === signature(one.secret, plain + bound);
  const late = key !== undefined && Number.parseInt(time, 16) > key.since / 1000 + graceS;
  return fresh(time, now) && (by(key) || (by(former) && !late)) ? holder : undefined;
}

function signed(world: World, plain: string, bound: string, now: number): string {
  const [key] = keysOf(world, now);
  return `${plain}::${signature(key?.secret ?? "", plain + bound)}`;
}

/** The present key and the one before it; a new one every day. */
function keysOf(world: World, now: number): readonly TicketKey[] {
  const known = world.ticketKeys ?? [];
  const [last] = known;
  if (!last || now - last.since > keyLifetimeMs) {
    world.ticketKeys = [newKey(last, now), ...known].slice(0, 2);
  }
  return world.ticketKeys ?? [];
}

function newKey(last: TicketKey | undefined, now: number): TicketKey {
  return { secret: signature(last?.secret ?? "", `key of ${now}`), since: now };
}

function csrfSignature(time: string, userId: string): string {
  return signature("csrf", `${time}:${userId}`).replace("=", "");
}

/** Nobody attacks the simulator: it only has to tell its own from what was made up. */
function signature(secret: string, text: string): string {
  return createHash("sha256").update(`simulated key ${secret} ${text}`).digest("base64");
}
