import { forbidden } from "./refusal.ts";
import type { AclEntry, Token, User, World } from "./world.ts";

/** Privilege → whether it propagates below the path. */
export type Privileges = ReadonlyMap<string, boolean>;

/** Who asks: a user, or one of its tokens. */
export interface Identity {
  readonly user: User;
  /** The part after `!`, and the token. */
  readonly token?: { readonly name: string; readonly value: Token };
}

/** `user@realm` or `user@realm!token`, as UPIDs and logs have it. */
function identityName(identity: Identity): string {
  return identity.token ? `${identity.user.id}!${identity.token.name}` : identity.user.id;
}

/** The paths that GET /access/permissions always looks at (PVE::RPCEnvironment get_effective_permissions). */
const standardPaths = [
  "/",
  "/access",
  "/access/groups",
  "/nodes",
  "/pool",
  "/sdn",
  "/storage",
  "/vms",
];

/** What one identity may do: PVE::RPCEnvironment permissions, PVE::AccessControl roles. Made anew for each request. */
export class Access {
  readonly identity: Identity;
  readonly #world: World;
  readonly #acl = new Map<string, AclEntry[]>();
  readonly #known = new Map<string, Privileges>();
  #pools: ReadonlyMap<string, string> | undefined;

  constructor(world: World, identity: Identity) {
    this.#world = world;
    this.identity = identity;
    for (const entry of world.acl) {
      const entries = this.#acl.get(entry.path);
      if (entries) entries.push(entry);
      else this.#acl.set(entry.path, [entry]);
    }
  }

  /** As it stands in UPIDs, logs and task lists. */
  get name(): string {
    return identityName(this.identity);
  }

  /** Whether this version of PVE has such a privilege. */
  knows(privilege: string): boolean {
    return this.#world.roles.get("Administrator")?.has(privilege) === true;
  }

  has(path: string, privilege: string): boolean {
    return this.privileges(path).has(privilege);
  }

  hasAny(path: string, privileges: readonly string[]): boolean {
    return privileges.some((privilege) => this.has(path, privilege));
  }

  /** Throws 403 naming the first missing privilege. */
  need(path: string, ...privileges: readonly string[]): void {
    for (const privilege of privileges) {
      if (!this.has(path, privilege)) throw forbidden(`${shown(path)}, ${privilege}`);
    }
  }

  /** Throws 403 naming all of them when none is held. */
  needAny(path: string, privileges: readonly string[]): void {
    if (!this.hasAny(path, privileges)) throw forbidden(`${shown(path)}, ${privileges.join("|")}`);
  }

  privileges(path: string): Privileges {
    const key = this.#sameAs(path);
    const known = this.#known.get(key);
    if (known) return known;
    const privileges = this.#effective(path);
    this.#known.set(key, privileges);
    return privileges;
  }

  /** GET /access/permissions: what has ACL entries and what is in pools, where there is a privilege on it. */
  all(): Record<string, Record<string, 0 | 1>> {
    const paths = new Set(standardPaths);
    for (const entry of this.#world.acl) paths.add(entry.path);
    for (const pool of this.#world.pools.values()) {
      for (const vmid of pool.vmids) paths.add(`/vms/${vmid}`);
      for (const storage of pool.storages) paths.add(`/storage/${storage}`);
    }
    const answer: Record<string, Record<string, 0 | 1>> = {};
    for (const path of paths) {
      const held = flags(this.privileges(path));
      if (Object.keys(held).length > 0) answer[path] = held;
    }
    return answer;
  }

  #effective(path: string): Privileges {
    const { user, token } = this.identity;
    if (!validPath.test(path))
      return token || user.id !== "root@pam" ? new Map() : this.#everything();
    const ofUser =
      user.id === "root@pam" ? this.#everything() : this.#of(user.id, path, user.groups);
    if (!token?.value.privsep) return ofUser;
    const own = this.#of(`${user.id}!${token.name}`, path, new Set());
    const both = new Map<string, boolean>();
    for (const [privilege, propagate] of own) {
      if (ofUser.has(privilege)) both.set(privilege, propagate && ofUser.get(privilege) === true);
    }
    return both;
  }

  #everything(): Privileges {
    const all = this.#world.roles.get("Administrator") ?? new Set();
    return new Map([...all].map((privilege) => [privilege, true]));
  }

  /** The roles at a path, and those that its pool lends. */
  #of(who: string, path: string, groups: ReadonlySet<string>): Privileges {
    const found = new Map<string, boolean>();
    const roles = this.#roles(who, path, groups);
    if (roles.has("NoAccess")) return found;
    this.#collect(found, roles, true);
    const pool = this.#poolOf(path);
    if (pool !== undefined) {
      const lent = this.#roles(who, `/pool/${pool}`, groups);
      if (!lent.has("NoAccess")) this.#collect(found, lent, false);
    }
    return found;
  }

  #collect(found: Map<string, boolean>, roles: ReadonlyMap<string, boolean>, keep: boolean): void {
    for (const [role, propagate] of roles) {
      for (const privilege of this.#world.roles.get(role) ?? []) {
        const flag = keep && propagate;
        found.set(privilege, found.get(privilege) === true || flag);
      }
    }
  }

  /** Role → propagate. A deeper level replaces what was inherited; a user's own entries replace those of its groups. */
  #roles(who: string, path: string, groups: ReadonlySet<string>): ReadonlyMap<string, boolean> {
    let roles: ReadonlyMap<string, boolean> = new Map();
    for (const level of levels(path)) {
      const entries = (this.#acl.get(level) ?? []).filter((e) => e.propagate || level === path);
      const own = entries.filter((entry) => entry.who === who);
      const lent = entries.filter((entry) => entry.kind === "group" && groups.has(entry.who));
      const used = own.length > 0 ? own : lent;
      if (used.length > 0) roles = new Map(used.map((entry) => [entry.role, entry.propagate]));
    }
    return roles;
  }

  /** Thousands of guests without entries of their own and without a pool share what they inherit. */
  #sameAs(path: string): string {
    const at = path.lastIndexOf("/");
    const special = at <= 0 || this.#acl.has(path) || !validPath.test(path);
    return special || this.#poolOf(path) !== undefined ? path : `${path.slice(0, at)}/*`;
  }

  #poolOf(path: string): string | undefined {
    this.#pools ??= poolsByPath(this.#world);
    return this.#pools.get(path);
  }
}

function poolsByPath(world: World): ReadonlyMap<string, string> {
  const pools = new Map<string, string>();
  for (const pool of world.pools.values()) {
    for (const vmid of pool.vmids) pools.set(`/vms/${vmid}`, pool.id);
    for (const storage of pool.storages) pools.set(`/storage/${storage}`, pool.id);
  }
  return pools;
}

const validPath = /^\/[A-Za-z0-9._@\-/]*$/;

/** An ACL path that PVE cannot normalize is undefined there and prints as nothing. */
function shown(path: string): string {
  return validPath.test(path) ? path : "";
}

/** `/vms/100` → `/`, `/vms`, `/vms/100`. */
function levels(path: string): string[] {
  const found = ["/"];
  let at = "";
  for (const piece of path.split("/").filter((part) => part !== "")) {
    at += `/${piece}`;
    found.push(at);
  }
  return found;
}

/** As answers have it. */
export function flags(privileges: Privileges): Record<string, 0 | 1> {
  const answer: Record<string, 0 | 1> = {};
  for (const [privilege, propagate] of privileges) answer[privilege] = propagate ? 1 : 0;
  return answer;
}
