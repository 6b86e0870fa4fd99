import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { demoWorld } from "../../src/simulator/demo.ts";
import { nobodyToken } from "../../src/simulator/demo-credentials.ts";
import { Access } from "../../src/simulator/permissions.ts";
import { Refusal } from "../../src/simulator/refusal.ts";
import type { Route } from "../../src/simulator/route.ts";
import { allRoutes } from "../../src/simulator/routes/all.ts";
import { addUser } from "../../src/simulator/world-builder.ts";
import { shared } from "../shared.ts";
import { host } from "./host.ts";

/** Privileges by the place where they are held. */
type Held = readonly (readonly [string, readonly string[]])[];
type Check = readonly [string, ...unknown[]];
interface Method {
  readonly method: string;
  readonly path: string;
  /** Absent: root@pam only. */
  readonly permissions?: { readonly user?: string; readonly check?: Check };
}

const schema = shared("pve/api-schema.json");
const reason = "the published schema does not lie beside the repository";

/** What stands in paths and parameters; none of it belongs to whoever asks. */
const given: Readonly<Record<string, string>> = {
  node: "pve1",
  vmid: "151",
  newid: "700",
  storage: "local",
  snapname: "clean-install",
  poolid: "production",
  pool: "production",
  userid: "auditor@pve",
  tokenid: "agent",
  path: "/vms/151",
};
const filled = (path: string, values = given) =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "x");
const shape = ({ method, path }: { method: string; path: string }) =>
  `${method} ${path.replace(/\{\w+\}/g, "{}")}`;

/** Each route with what is declared of it; routes that the schema does not know are left out. */
function declared(file: string) {
  const { methods }: { methods: readonly Method[] } = JSON.parse(readFileSync(file, "utf8"));
  const known = new Map(methods.map((one) => [shape(one), one]));
  return allRoutes().flatMap((route) => {
    const method = known.get(shape(route));
    return method && !route.open ? [{ route, permissions: method.permissions }] : [];
  });
}

/** Where a check looks for privileges: each place with all that it looks for there. */
function places(check: Check): Held {
  const [kind, first, second] = check;
  if (kind === "and" || kind === "or") return check.slice(1).flatMap((one) => places(one as Check));
  if (kind === "perm") return [[filled(String(first)), second as readonly string[]]];
  if (kind === "userid-group") return [["/access/groups", first as readonly string[]]];
  if (kind === "userid-param" && first !== "self") return [["/access/realm/pve", [String(first)]]];
  return kind === "perm-modify" ? [[filled(String(first)), ["Permissions.Modify"]]] : [];
}

/** PVE: pve-access-control src/PVE/RPCEnvironment.pm (exec_api2_perm_check), for requests that give every parameter. */
function passes(check: Check, access: Access): boolean {
  const [kind, ...rest] = check;
  if (kind === "and") return rest.every((one) => passes(one as Check, access));
  if (kind === "or") return rest.some((one) => passes(one as Check, access));
  const any = kind !== "perm" || rest.includes("any");
  return places(check).some(([path, names]) =>
    any ? access.hasAny(path, names) : names.every((name) => access.has(path, name)),
  );
}

/** Who holds these privileges at these places, and nothing else. */
function holder(held: Held): Access {
  const world = demoWorld(Date.UTC(2026, 0, 1));
  const user = addUser(world, "somebody@pve");
  for (const [index, [path, privileges]] of held.entries()) {
    world.roles.set(`R${index}`, new Set(privileges));
    const role = `R${index}`;
    world.acl.push({ path, who: user.id, kind: "user", role, propagate: false });
  }
  return new Access(world, { user });
}

function isLetThrough({ permission }: Route, access: Access): boolean {
  try {
    permission?.(access, given);
    return true;
  } catch (error) {
    if (error instanceof Refusal && error.status === 403) return false;
    throw error;
  }
}

/** Nothing, all that is asked for, all but one, and one alone. */
function samples(check: Check | undefined): readonly Held[] {
  const all = check ? places(check) : [];
  const without = all.flatMap(([place, names], at) =>
    names.map((name) => all.with(at, [place, names.filter((one) => one !== name)])),
  );
  const alone = all.flatMap(([place, names]) => names.map((name): Held => [[place, [name]]]));
  return [[], all, ...without, ...alone];
}

test("every route asks first for the privileges that are declared of it, and for no others", (context) => {
  if (schema === undefined) return context.skip(reason);
  const wrong: unknown[] = [];
  const routes = declared(schema);
  for (const { route, permissions: { user, check } = {} } of routes) {
    for (const held of samples(check)) {
      const access = holder(held);
      const expected = user === "all" || (check !== undefined && passes(check, access));
      if (isLetThrough(route, access) !== expected) wrong.push([shape(route), held, expected]);
    }
  }
  expect(wrong).toEqual([]);
  expect(routes.length).toBeGreaterThan(140);
});

test("a right that is missing hides a wrong parameter, a missing guest and a node that is off or unknown", async (context) => {
  if (schema === undefined) return context.skip(reason);
  const pve = host();
  const off = pve.simulator.world.nodes.get("pve3");
  if (off) off.online = false;
  const answers: unknown[] = [];
  for (const { route, permissions } of declared(schema)) {
    if (permissions?.user !== undefined) continue;
    for (const own of [{ node: "pve3" }, { node: "pve9" }, { vmid: "999" }, { vmid: "none" }]) {
      const path = filled(route.path, { ...given, ...own });
      const { status } = await pve.request(route.method, path, { nonsense: 1 }, nobodyToken);
      if (status !== 403) answers.push([route.method, path, status]);
    }
  }
  expect(answers).toEqual([]);
});

test("where everybody may ask, a wrong parameter is told before a right that is missing", async () => {
  const pve = host();
  const answers = [
    await pve.post("/nodes/pve1/qemu", { vmid: 700, nonsense: 1 }, nobodyToken),
    await pve.post("/nodes/pve1/lxc", { vmid: 700, nonsense: 1 }, nobodyToken),
    await pve.get("/nodes/pve1/network", { nonsense: 1 }, nobodyToken),
    await pve.post("/nodes/pve1/qemu", { vmid: 700 }, nobodyToken),
    await pve.get("/nodes/pve1/network", {}, nobodyToken),
  ];
  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 403, 403]);
});
