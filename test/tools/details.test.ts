import { describe, expect, onTestFinished, test } from "vitest";
import { auditorToken, stagingToken } from "../../src/simulator/demo-credentials.ts";
import { type Answer, type Lab, type LabOptions, lab } from "../kit.ts";

async function start(options: LabOptions = {}): Promise<Lab> {
  const server = await lab(options);
  // Whatever a detail asks for is a path that a host knows.
  onTestFinished(() => expect(server.simulator.log.filter({ status: 501 })).toEqual([]));
  return server;
}

const all = ["ha", "firewall", "backups", "agent", "pending", "snapshots"];
const vm = (server: Lab, name: string, include = all) =>
  server.call("get_vm", { vm: name, include });
const container = (server: Lab, name: string, include = all) =>
  server.call("get_container", { container: name, include });
const detailsOf = ({ data }: Answer) => data["details"] as Readonly<Record<string, unknown>>;

describe("the details of a guest", () => {
  test("of a running VM are all there, each for one request or three", async () => {
    const server = await start();
    const guest = server.simulator.world.guests.get(101);
    if (guest) guest.pending = { memory: "8192" };
    await vm(server, "web-1", []);
    const mark = server.simulator.log.mark();
    const answer = await vm(server, "web-1");
    expect(answer.isError, answer.text).toBe(false);
    expect(detailsOf(answer)).toMatchObject({
      ha: { managed: false },
      firewall: [
        { pos: 0, type: "in", action: "ACCEPT", enable: 1, proto: "tcp", dport: "443" },
        { pos: 1, macro: "SSH", source: "192.0.2.0/24" },
        { pos: 2, action: "DROP", enable: 0 },
      ],
      backups: [{ volid: expect.stringContaining("vzdump-qemu-101") }],
      agent: {
        interfaces: [{ name: "eth0" }],
        os: { name: expect.stringContaining("Debian") },
        fileSystems: [{ mountpoint: "/", type: "ext4" }],
      },
      pending: [{ key: "memory", pending: "8192" }],
      snapshots: [],
    });
    const asked = server.simulator.log.paths(mark);
    expect(asked.filter((path) => path.includes("/agent/"))).toHaveLength(3);
    expect(asked.filter((path) => path.endsWith("/firewall/rules"))).toHaveLength(1);
    expect(answer.text).toContain("firewall: pos 0");
    expect(JSON.stringify(detailsOf(answer))).not.toContain("digest");
  });

  test("of a running container are all there", async () => {
    const server = await start();
    const answer = await container(server, "dns-1");
    expect(answer.isError, answer.text).toBe(false);
    expect(detailsOf(answer)).toMatchObject({
      ha: { managed: false },
      firewall: [{ pos: 0, macro: "DNS" }],
      backups: [{ volid: expect.stringContaining("vzdump-lxc-200") }],
      agent: { interfaces: [{ name: "eth0" }] },
      pending: [],
      snapshots: [],
    });
  });

  test("of a stopped container have no interfaces", async () => {
    const server = await start();
    await server.call("stop_guest", { guest: "dns-1" });
    expect(detailsOf(await container(server, "dns-1", ["agent"]))).toEqual({
      agent: { interfaces: [] },
    });
  });

  test("say what HA is to do with it, and that it does nothing", async () => {
    const server = await start();
    const managed = await vm(server, "gateway-1", ["ha"]);
    expect(detailsOf(managed)["ha"]).toEqual({
      managed: true,
      sid: "vm:152",
      type: "vm",
      state: "started",
      max_restart: 1,
      max_relocate: 1,
    });
    expect(managed.text).toContain("ha: managed true, sid vm:152");
    expect((await vm(server, "web-1", ["ha"])).text).toContain("ha: managed false");
  });

  test("list snapshots with their parents, the oldest first", async () => {
    const server = await start();
    const { snapshots } = detailsOf(await vm(server, "wiki", ["snapshots"]));
    expect(snapshots).toMatchObject([
      { name: "clean-install" },
      { name: "before-upgrade", parent: "clean-install" },
    ]);
  });

  test("that cannot be had are told apart, and fail nothing else", async () => {
    const server = await start();
    const stopped = await vm(server, "build-2", ["agent", "firewall"]);
    expect(stopped.isError).toBe(false);
    expect(detailsOf(stopped)).toMatchObject({
      agent: { unavailable: expect.stringMatching(/not running|No QEMU guest agent/) },
      firewall: [],
    });
  });
});

describe("a right that a detail needs", () => {
  test.each([
    ["ha", "Sys.Audit on /", "pveum acl modify / --tokens 'staging@pve!agent' --roles PVEAuditor"],
    [
      "agent",
      "VM.Monitor on /vms/301",
      "pveum acl modify /vms/301 --tokens 'staging@pve!agent' --roles PVEVMAdmin",
    ],
  ])("%s, before PVE 9: %s", async (detail, right, grant) => {
    const server = await start({ token: stagingToken, version: "8.4" });
    const answer = await vm(server, "staging-web-1", [detail]);
    expect(answer.isError, answer.text).toBe(false);
    expect(detailsOf(answer)[detail]).toMatchObject({
      unavailable: expect.stringContaining(right),
      next: expect.stringContaining(grant),
    });
    expect(answer.text).toContain(right);
    expect(answer.text).toContain(grant);
  });

  test("is enough under PVE 9 where its names are finer", async () => {
    const server = await start({ token: auditorToken });
    const { agent } = detailsOf(await vm(server, "web-1", ["agent"]));
    expect(agent).toMatchObject({ interfaces: [{ name: "eth0" }] });
    const old = await start({ token: auditorToken, version: "8.4" });
    expect(detailsOf(await vm(old, "web-1", ["agent"]))["agent"]).toMatchObject({
      unavailable: expect.stringContaining("VM.Monitor on /vms/101"),
    });
  });
});

test("how long a guest runs stands beside that it runs, not beside its lock", async () => {
  const server = await start();
  for (const name of ["web-1", "dns-1"]) {
    const vmid = name === "web-1" ? 101 : 200;
    server.simulator.outside.lock(vmid, "migrate");
    const { text } = await (vmid === 101 ? vm(server, name, []) : container(server, name, []));
    expect(text.split("\n")[0]).toMatch(/: running for \d+ d, locked \(migrate\)$/);
  }
});
