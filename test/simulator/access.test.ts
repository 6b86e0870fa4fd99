import { describe, expect, test } from "vitest";
import { adminToken, auditorToken, nobodyToken } from "../../src/simulator/demo-credentials.ts";
import { addToken, addUser } from "../../src/simulator/world-builder.ts";
import { host } from "./host.ts";

describe("privileges", () => {
  test("are judged before existence", async () => {
    const pve = host();
    const path = "/nodes/pve1/qemu/9999/config";
    expect((await pve.get(path, {}, nobodyToken)).reason).toBe(
      "Permission check failed (/vms/9999, VM.Audit)",
    );
    expect((await pve.get(path, {}, auditorToken)).reason).toBe(
      "Configuration file 'nodes/pve1/qemu-server/9999.conf' does not exist",
    );
  });

  test("name what is missing, with a bar where any would do, with nothing where it is an `or`", async () => {
    const pve = host();
    const refused = async (
      method: "GET" | "POST" | "PUT",
      path: string,
      form = {},
      who = auditorToken,
    ) => {
      const { status, reason, body } = await pve.request(method, path, form, who);
      expect(status).toBe(403);
      expect(body).toEqual({ data: null, message: `${reason}\n` });
      return reason;
    };
    expect(await refused("POST", "/nodes/pve1/qemu/101/status/start")).toBe(
      "Permission check failed (/vms/101, VM.PowerMgmt)",
    );
    expect(await refused("GET", "/nodes/pve1/storage/local/content", {}, nobodyToken)).toBe(
      "Permission check failed (/storage/local, Datastore.Audit|Datastore.AllocateSpace)",
    );
    expect(await refused("GET", "/cluster/status", {}, nobodyToken)).toBe(
      "Permission check failed (/, Sys.Audit)",
    );
    expect(await refused("POST", "/nodes/pve1/qemu/101/clone", { newid: "x" })).toBe(
      "Permission check failed (/vms/101, VM.Clone)",
    );
  });

  test("a config option without its own privilege is refused by name", async () => {
    const pve = host();
    const { roles } = pve.simulator.world;
    roles.set("Options", new Set(["VM.Audit", "VM.Config.Options"]));
    const token = { tokenId: "opt@pve!t", secret: "s" };
    addToken(pve.simulator.world, { id: "opt@pve!t", secret: "s", roles: { "/vms": "Options" } });
    const path = "/nodes/pve2/qemu/302/config";
    expect((await pve.put(path, { description: "x" }, token)).status).toBe(200);
    expect((await pve.put(path, { memory: 512 }, token)).reason).toBe(
      "Permission check failed (/vms/302, VM.Config.Memory)",
    );
  });

  test("without any, lists are empty and nodes are bare", async () => {
    const pve = host();
    for (const path of ["/cluster/tasks", "/pools", "/nodes/pve1/qemu", "/nodes/pve1/storage"]) {
      expect((await pve.get(path, {}, nobodyToken)).data).toEqual([]);
    }
    const { data } = await pve.get("/cluster/resources", {}, nobodyToken);
    expect(data.map(({ type }: { type: string }) => type)).toEqual(["node", "node", "node"]);
    expect(data[0]).toEqual({
      id: "node/pve1",
      node: "pve1",
      type: "node",
      status: "online",
      level: "",
      "cgroup-mode": 2,
    });
    expect((await pve.get("/access/permissions", {}, nobodyToken)).data).toEqual({});
  });

  test("GET /access/permissions shows paths, privileges and whether they propagate", async () => {
    const pve = host();
    const { data } = await pve.get("/access/permissions", {}, auditorToken);
    expect(data["/"]).toMatchObject({ "VM.Audit": 1, "Sys.Audit": 1 });
    expect(data["/vms"]["VM.PowerMgmt"]).toBeUndefined();
    const one = await pve.get("/access/permissions", { path: "/vms/101" }, auditorToken);
    expect(Object.keys(one.data)).toEqual(["/vms/101"]);
  });

  test("a token with privilege separation has only what both it and its user have", async () => {
    const pve = host();
    const { world } = pve.simulator;
    addToken(world, { id: "ann@pve!full", secret: "a", roles: { "/vms": "PVEVMUser" } });
    const separate = { id: "ann@pve!sep", secret: "b", privsep: true };
    addToken(world, { ...separate, roles: { "/vms/101": "PVEVMAdmin" } });
    const who = { tokenId: "ann@pve!sep", secret: "b" };
    const { data } = await pve.get("/access/permissions", { path: "/vms/101" }, who);
    expect(data["/vms/101"]["VM.PowerMgmt"]).toBe(1);
    expect(data["/vms/101"]["VM.Allocate"]).toBeUndefined();
    const other = await pve.get("/nodes/pve2/qemu/102/config", {}, who);
    expect(other.reason).toBe("Permission check failed (/vms/102, VM.Audit)");
  });

  test("NoAccess on a deeper path wins, and a disabled user is nobody", async () => {
    const pve = host();
    const { world } = pve.simulator;
    const who = { path: "/vms/101", who: "auditor@pve", kind: "user", role: "NoAccess" } as const;
    world.acl.push({ ...who, propagate: true });
    expect((await pve.get("/nodes/pve1/qemu/101/config", {}, auditorToken)).status).toBe(403);
    addUser(world, "gone@pve").enabled = false;
    addToken(world, { id: "gone@pve!t", secret: "s" });
    const gone = await pve.get("/version", {}, { tokenId: "gone@pve!t", secret: "s" });
    expect(gone).toMatchObject({ status: 401, reason: "Authentication failed!" });
  });
});

describe("tasks", () => {
  const start = "/nodes/pve2/qemu/302/status/start";
  const taskPath = (upid: string) => `/nodes/pve2/tasks/${encodeURIComponent(upid)}`;

  test("have a status with decimal numbers and a user without token", async () => {
    const pve = host();
    const { data: upid } = await pve.post(start);
    const [, node, pid, pstart, starttime, type, id, user] = upid.split(":");
    const { data } = await pve.get(`${taskPath(upid)}/status`);
    expect(data).toEqual({
      upid,
      node,
      pid: Number.parseInt(pid, 16),
      pstart: Number.parseInt(pstart, 16),
      starttime: Number.parseInt(starttime, 16),
      type,
      id,
      user: "admin@pve",
      tokenid: "agent",
      status: "running",
    });
    expect(user).toBe("admin@pve!agent");
    expect(await pve.settle(upid)).toBe("OK");
  });

  test("that nobody knows are 400 in status and one line in the log; nonsense is 400 in both", async () => {
    const pve = host();
    const unknown = "UPID:pve2:00000001:00000001:60000000:qmstart:302:root@pam:";
    const status = await pve.get(`${taskPath(unknown)}/status`);
    expect(status.body?.["errors"]).toEqual({ upid: "no such task" });
    const log = await pve.get(`${taskPath(unknown)}/log`);
    expect(log.data).toEqual([{ n: 1, t: "unable to open file - No such file or directory" }]);
    const nonsense = await pve.get("/nodes/pve2/tasks/UPID:foo/status");
    expect(nonsense.body?.["errors"]).toEqual({ upid: "unable to parse worker upid" });
  });

  test("of others need Sys.Audit to see and Sys.Modify to stop", async () => {
    const pve = host();
    const { data: upid } = await pve.post(start);
    expect((await pve.get(`${taskPath(upid)}/status`, {}, nobodyToken)).reason).toBe(
      "Permission check failed (/nodes/pve2, Sys.Audit)",
    );
    expect((await pve.del(taskPath(upid), {}, auditorToken)).reason).toBe(
      "Permission check failed (/nodes/pve2, Sys.Modify)",
    );
  });

  test("are filtered, paged and counted", async () => {
    const pve = host();
    await pve.outcome(pve.post(start));
    await pve.outcome(pve.post(start));
    const { data: upid } = await pve.post("/nodes/pve2/qemu/302/status/shutdown");
    await pve.clock.advance(200);
    const list = async (form: Record<string, string | number>) =>
      (await pve.get("/nodes/pve2/tasks", form)).data;
    expect(await list({ source: "active" })).toMatchObject([
      { upid, status: "RUNNING", user: "admin@pve!agent" },
    ]);
    expect(await list({ errors: 1 })).toMatchObject([{ status: "VM 302 already running" }]);
    expect(await list({ statusfilter: "ok" })).toHaveLength(1);
    expect(await list({ source: "all", vmid: 302 })).toHaveLength(3);
    expect(await list({ vmid: 999 })).toEqual([]);
    const page = await pve.get("/nodes/pve2/tasks", { limit: 1, start: 1 });
    expect(page.body).toMatchObject({ total: 2, data: [{ status: "OK", tokenid: "agent" }] });
    const empty = await pve.get("/nodes/pve3/tasks");
    expect(empty.body).toEqual({ data: [] });
  });

  test("in /cluster/tasks are at most 25 a node, and a token finds none of its own there", async () => {
    const pve = host();
    for (let n = 0; n < 30; n++) pve.simulator.outside.setConfig(302, { cores: String(n + 1) });
    for (let n = 0; n < 30; n++) await pve.outcome(pve.post("/nodes/pve2/qemu/302/status/stop"));
    const { data } = await pve.get("/cluster/tasks");
    expect(data).toHaveLength(25);
    expect(data[0]).toMatchObject({ type: "qmstop", saved: "1", status: "OK", tokenid: "agent" });
    expect((await pve.get("/cluster/tasks", {}, nobodyToken)).data).toEqual([]);
  });

  test("of a node that crashed end without a last line", async () => {
    const pve = host();
    const { data: upid } = await pve.post("/nodes/pve3/qemu/140/status/shutdown");
    await pve.clock.advance(500);
    pve.simulator.outside.nodeDown("pve3");
    const path = `/nodes/pve3/tasks/${encodeURIComponent(upid)}/status`;
    expect((await pve.get(path)).status).toBe(595);
    pve.simulator.outside.nodeUp("pve3");
    expect((await pve.get(path)).data).toMatchObject({
      status: "stopped",
      exitstatus: "unexpected status",
    });
  });
});

test("another administrator leaves the traces that PVE leaves", async () => {
  const pve = host();
  const { outside, log } = pve.simulator;
  outside.destroy(310);
  outside.create({ vmid: 600, name: "theirs", node: "pve2" });
  outside.powerOff(101);
  outside.setConfig(200, { memory: "768" });
  expect(log.count()).toBe(0);
  const { data } = await pve.get("/cluster/log", {}, adminToken);
  const texts = data.map(({ msg }: { msg: string }) => msg.replace(/UPID:\S+:(\w+:\d+):\S+/, "$1"));
  expect(texts).toEqual([
    "end task qmcreate:600 OK",
    "starting task qmcreate:600",
    "end task qmdestroy:310 OK",
    "starting task qmdestroy:310",
  ]);
  expect((await pve.get("/cluster/log", {}, auditorToken)).data).toEqual([]);
  expect((await pve.get("/nodes/pve1/qemu/101/status/current")).data.status).toBe("stopped");
});
