import type { Identity } from "./permissions.ts";
import { Refusal } from "./refusal.ts";
import type { World } from "./world.ts";

/**
 * Who sends the request: `Authorization: PVEAPIToken=user@realm!name=secret` (PVE::HTTPServer auth_handler).
 * Throws a bare 401; why it failed is never told.
 */
export function authenticate(
  world: World,
  headers: Readonly<Record<string, string>>,
  now: number,
): Identity {
  const header = headers["authorization"];
  if (header === undefined) throw new Refusal(401, "No ticket", { bare: true });
  const match = /^PVEAPIToken[= ]([^!]+)!([^=]+)=(.+)$/.exec(header.trim());
  const user = world.users.get(match?.[1] ?? "");
  const name = match?.[2] ?? "";
  const token = user?.tokens.get(name);
  const nowS = now / 1000;
  const expired = [user?.expire, token?.expire].some(
    (end) => end !== undefined && end > 0 && end < nowS,
  );
  if (!user?.enabled || !token || token.secret !== match?.[3] || expired) {
    throw new Refusal(401, "Authentication failed!", { bare: true });
  }
  return { user, token: { name, value: token } };
}
