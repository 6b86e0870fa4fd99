import { describe, expect, test } from "vitest";
import { auditorToken, nobodyToken, stagingToken } from "../../src/simulator/demo-credentials.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, lab } from "../kit.ts";

describe("credentials that may only look", () => {
  test.each<[string, Record<string, unknown>, string, string]>([
    ["start_guest", { guest: "staging-web-2" }, "VM.PowerMgmt", "/vms/302"],
    ["stop_guest", { guest: "web-1" }, "VM.PowerMgmt", "/vms/101"],
    ["stop_guest", { guest: "web-1", mode: "suspend" }, "VM.PowerMgmt", "/vms/101"],
    ["delete_guest", { guest: "build-2", confirm: "build-2" }, "VM.Allocate", "/vms/212"],
    ["clone_vm", { vm: "debian-13-template", name: "copy" }, "VM.Clone", "/vms/9000"],
    [
      "clone_container",
      { container: "debian-13-ct-template", name: "copy" },
      "VM.Clone",
      "/vms/9001",
    ],
  ])(
    "%s %o: forbidden, naming privilege, path and the pveum line",
    async (tool, args, privilege, path) => {
      const server = await lab({ token: auditorToken });
      const answer = await server.call(tool, args);
      expect(answer.kind).toBe("forbidden");
      expect(answer.text).toContain(`${privilege} on ${path}`);
      expect(answer.text).toContain(
        `pveum acl modify ${path} --tokens 'auditor@pve!agent' --roles `,
      );
      expect(answer.facts).toMatchObject({ path, privileges: [privilege] });
      expect(server.simulator.log.changes().map(({ status }) => status)).toEqual([403]);
    },
  );

  test("still see everything", async () => {
    const server = await lab({ token: auditorToken });
    const { data } = await server.call("list_guests", { limit: 100 });
    expect(data["total"]).toBe(server.simulator.world.guests.size);
    expect((await server.call("get_vm", { vm: "web-1" })).data["config"]).toBeDefined();
  });
});

describe("credentials that may clone, but not everything that it takes", () => {
  const token = { tokenId: "cloner@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
  const all = [
    ...["VM.Audit", "VM.Clone", "VM.Allocate"],
    ...["Datastore.Audit", "Datastore.AllocateSpace", "SDN.Use"],
  ];
  const calls = [
    ["clone_vm", { vm: "debian-13-template", name: "copy" }],
    ["clone_container", { container: "debian-13-ct-template", name: "copy" }],
  ] as const;

  async function cloner(privileges: readonly string[]): Promise<Lab> {
    const server = await lab({ token });
    const { world } = server.simulator;
    world.roles.set("Cloner", new Set(privileges));
    addToken(world, { id: token.tokenId, secret: token.secret, roles: { "/": "Cloner" } });
    return server;
  }

  test.each(calls)("%s needs no more than these", async (tool, args) => {
    const answer = await (await cloner(all)).call(tool, args);
    expect(answer.isError, answer.text).toBe(false);
  });

  test.each(
    calls.flatMap(([tool, args]) => [
      [tool, args, "SDN.Use", "/sdn/zones/localnetwork/vmbr0", "PVESDNUser"] as const,
      [tool, args, "VM.Allocate", "/vms", "PVEVMAdmin"] as const,
    ]),
  )("%s %o without %s on %s: forbidden, with the pveum line", async (tool, args, ...lacks) => {
    const [privilege, path, role] = lacks;
    const server = await cloner(all.filter((name) => name !== privilege));
    const answer = await server.call(tool, args);
    expect(answer).toMatchObject({ kind: "forbidden", facts: { path, privileges: [privilege] } });
    expect(answer.text).toContain(`needs ${privilege} on `);
    expect(answer.text).toContain(
      `pveum acl modify ${path} --tokens 'cloner@pve!agent' --roles ${role}`,
    );
    expect(
      [...server.simulator.world.guests.values()].map(({ config }) => config),
    ).not.toContainEqual(expect.objectContaining({ name: "copy" }));
  });
});

describe("credentials without any right", () => {
  test("list_guests is empty and says why", async () => {
    const server = await lab({ token: nobodyToken });
    const answer = await server.call("list_guests");
    expect(answer.data).toMatchObject({ guests: [], total: 0 });
    expect(answer.text).toMatch(/may see|get_connection_status/);
  });

  test("get_vm is not_found with the hint, and get_connection_status has the pveum line", async () => {
    const server = await lab({ token: nobodyToken });
    const answer = await server.call("get_vm", { vm: "web-1" });
    expect(answer.kind).toBe("not_found");
    expect(answer.text).toContain("get_connection_status");
    const status = await server.call("get_connection_status");
    expect(status.text).toContain("pveum acl modify");
  });

  test("changes find nothing and send nothing", async () => {
    const server = await lab({ token: nobodyToken });
    const answer = await server.call("start_guest", { guest: "web-1" });
    expect(answer.kind).toBe("not_found");
    expect(server.simulator.log.changes()).toEqual([]);
  });
});

describe("credentials for one pool", () => {
  test("see its guests and no others, and may switch them", async () => {
    const server = await lab({ token: stagingToken });
    const { data } = await server.call("list_guests", { limit: 100 });
    expect(data["total"]).toBe(6);
    expect((await server.call("get_vm", { vm: "web-1" })).kind).toBe("not_found");
    const started = await server.call("start_guest", { guest: "staging-web-2" });
    expect(started.data).toMatchObject({ vmid: 302, status: "running" });
    const gone = await server.call("delete_guest", { guest: "staging-web-2", confirm: "x" });
    expect(["forbidden", "conflict", "confirmation_required"]).toContain(gone.kind);
  });
});

describe("a token that is wrong", () => {
  test("is unauthorized, names the token, and never its secret", async () => {
    const secret = "99999999-aaaa-4aaa-8aaa-000000000009";
    const server = await lab({ token: { tokenId: "admin@pve!agent", secret } });
    const answer = await server.call("get_vm", { vm: "web-1" });
    expect(answer.kind).toBe("unauthorized");
    expect(answer.text).toContain("admin@pve!agent");
    expect(`${answer.text}${JSON.stringify(answer.facts)}${server.logged.join()}`).not.toContain(
      secret,
    );
  });
});

describe("a node that is down", () => {
  async function withoutPve3(): Promise<Lab> {
    const server = await lab();
    await server.call("list_guests", { limit: 100 });
    server.simulator.outside.nodeDown("pve3");
    return server;
  }

  test("list_guests answers all the same, and get_cluster says it", async () => {
    const server = await withoutPve3();
    await server.clock.advance(11_000);
    const { data } = await server.call("list_guests", { node: "pve3", limit: 100 });
    expect(data["total"]).toBe(10);
    const cluster = await server.call("get_cluster");
    expect(cluster.data["attention"]).toContain("Node pve3 is offline");
  });

  test.each([1, 11_000, 400_000])(
    "get_vm answers from its row and says so, %i ms later",
    async (ms) => {
      const server = await withoutPve3();
      await server.clock.advance(ms);
      const answer = await server.call("get_vm", { vm: "web-3" });
      expect(answer.data).toMatchObject({ vmid: 103, name: "web-3", node: "pve3" });
      expect(answer.data["degraded"]).toContain("pve3");
      expect(answer.text).toContain("pve3");
      expect(answer.data["config"]).toBeUndefined();
    },
  );

  test.each<[string, Record<string, unknown>]>([
    ["start_guest", { guest: "build-2" }],
    ["stop_guest", { guest: "web-3" }],
    ["delete_guest", { guest: "build-2", confirm: "build-2" }],
    ["clone_vm", { vm: "build-2", name: "copy" }],
  ])("%s %o there is unreachable, and nothing is half done", async (tool, args) => {
    const server = await withoutPve3();
    for (const ms of [1, 11_000]) {
      await server.clock.advance(ms);
      const answer = await server.call(tool, args);
      expect(answer.kind).toBe("unreachable");
      expect(answer.text).toContain("pve3");
    }
    expect(server.simulator.log.changes().filter(({ status }) => status < 400)).toEqual([]);
  });

  test("a known one is asked no more than once for a read", async () => {
    const server = await withoutPve3();
    await server.clock.advance(11_000);
    const mark = server.simulator.log.mark();
    await server.call("get_vm", { vm: "web-3" });
    expect(server.simulator.log.paths(mark)).toEqual(["GET /cluster/resources"]);
  });
});
