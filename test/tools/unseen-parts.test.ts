import { describe, expect, test } from "vitest";
import { auditorToken, nobodyToken } from "../../src/simulator/demo-credentials.ts";
import { addToken, addUser, emptyWorld } from "../../src/simulator/world-builder.ts";
import { type Lab, lab, tools } from "../kit.ts";

const token = { tokenId: "op@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };

/** A server whose token has these roles. */
async function withRoles(roles: Record<string, string>, world = {}): Promise<Lab> {
  const server = await lab({ ...world, token, settleMs: 0 });
  addToken(server.simulator.world, { id: token.tokenId, secret: token.secret, roles });
  await server.clock.advance(15_000);
  return server;
}

const unseen = (data: Readonly<Record<string, unknown>>) =>
  (data["unseen"] ?? []) as readonly Readonly<Record<string, string>>[];
const shown = (data: Readonly<Record<string, unknown>>) =>
  unseen(data).map(({ what, privilege, path }) => `${what}: ${privilege} on ${path}`);

describe("get_cluster says what these credentials do not see", () => {
  test("nothing where all is seen", async () => {
    const server = await lab({ token: auditorToken });
    const { data, text } = await server.call("get_cluster");
    expect(data).not.toHaveProperty("unseen");
    expect(text).not.toContain("Not seen");
  });

  test("all of it to who has no right, each with the command", async () => {
    const server = await lab({ token: nobodyToken });
    const { data, text } = await server.call("get_cluster");
    expect(shown(data)).toEqual([
      "quorum, HA, tasks of others, the nodes' load: Sys.Audit on /",
      "storages: Datastore.Audit on /storage",
      "guests: VM.Audit on /vms",
    ]);
    for (const { what, path } of unseen(data)) {
      const command = `pveum acl modify ${path} --tokens '${nobodyToken.tokenId}' --roles PVEAuditor`;
      expect(text).toContain(`Not seen: ${what}`);
      expect(text).toContain(command);
    }
    expect(text).toContain("Nothing of what can be seen needs attention.");
    expect(text).not.toContain("quorate");
  });

  test.each<[Record<string, string>, string[]]>([
    [
      { "/vms": "PVEVMUser", "/storage": "PVEDatastoreUser", "/nodes": "PVEAuditor" },
      ["quorum, HA, tasks of others: Sys.Audit on /"],
    ],
    [
      { "/vms": "PVEVMUser", "/storage": "PVEDatastoreUser" },
      ["quorum, HA, tasks of others, the nodes' load: Sys.Audit on /"],
    ],
    [{ "/": "PVEAuditor", "/storage": "NoAccess" }, ["storages: Datastore.Audit on /storage"]],
    [{ "/": "PVEAuditor", "/nodes": "NoAccess" }, ["the nodes' load: Sys.Audit on /nodes"]],
    [{ "/": "PVEAuditor", "/vms": "NoAccess" }, ["guests: VM.Audit on /vms"]],
  ])("with %j", async (roles, parts) => {
    const server = await withRoles(roles);
    expect(shown((await server.call("get_cluster")).data)).toEqual(parts);
  });

  test("and no guests where there are none", async () => {
    const world = emptyWorld(Date.UTC(2026, 0, 1, 12), ["pve1"]);
    const server = await withRoles({ "/": "PVEAuditor" }, { world });
    expect((await server.call("get_cluster")).data).not.toHaveProperty("unseen");
  });

  test("and the command grants it", async () => {
    const server = await withRoles({ "/vms": "PVEVMUser", "/storage": "PVEDatastoreUser" });
    const [{ path = "", grant } = {}] = unseen((await server.call("get_cluster")).data);
    expect(grant).toContain("--roles PVEAuditor");
    const granted = await withRoles({ [path]: "PVEAuditor" });
    expect((await granted.call("get_cluster")).data).not.toHaveProperty("unseen");
  });
});

describe("the command names who asks", () => {
  test("where list_storage may not look into a storage", async () => {
    const server = await withRoles({ "/storage": "Writer" });
    server.simulator.world.roles.set("Writer", new Set(["Datastore.AllocateSpace"]));
    const { kind, text, facts } = await server.call("list_storage", { storage: "nfs-shared" });
    expect(kind).toBe("forbidden");
    expect(text).toContain(
      "pveum acl modify /storage/nfs-shared --tokens 'op@pve!agent' --roles PVEAuditor",
    );
    expect(facts).toMatchObject({ privileges: ["Datastore.Audit"], role: "PVEAuditor" });
  });

  test("where lists are too short, also for a user with a password", async () => {
    const login = { username: "ann@pve", password: "correct-horse" };
    const server = await lab({ login, tools, settleMs: 0 });
    const { world } = server.simulator;
    Object.assign(addUser(world, login.username), { password: login.password });
    const who = { who: login.username, kind: "user" as const, propagate: true };
    world.acl.push({ path: "/storage", role: "PVEDatastoreUser", ...who });
    const { kind, text } = await server.call("list_backups");
    expect(kind).toBe("forbidden");
    expect(text).toContain("pveum acl modify /vms --users 'ann@pve' --roles PVEVMUser.");
  });
});
