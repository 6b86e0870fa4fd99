import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const vm = "debian-13-template";
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExample ops@example.test";
const password = "correct-horse-battery";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests", { limit: 100 });
});

const clone = (args: Record<string, unknown>) => server.call("clone_vm", { vm, ...args });
const guest = (vmid: unknown) => server.simulator.world.guests.get(Number(vmid));
const sent = (method: "POST" | "PUT", path: RegExp) =>
  server.simulator.log.filter({ method, path });

interface Item {
  readonly vmid: number;
  readonly name: string;
  readonly error?: { readonly kind: string };
}
const items = (data: Readonly<Record<string, unknown>>) => data["results"] as readonly Item[];

describe("clone_vm sets its clone up", () => {
  test("in one request with its tag, before it is started, and tells its address", async () => {
    const { data, text } = await clone({
      name: "web-9",
      cores: 4,
      memory: 4096,
      user: "ops",
      password,
      ssh_keys: [key],
      ips: ["192.0.2.77/24,gw=192.0.2.1"],
      nameservers: ["192.0.2.53"],
      start: true,
    });
    expect(data).toMatchObject({ status: "running", addresses: ["192.0.2.77"] });
    expect(text).toContain("is ready from 9000 (debian-13-template) and running at 192.0.2.77");
    expect(guest(data["vmid"])?.config).toMatchObject({
      cores: "4",
      memory: "4096",
      ciuser: "ops",
      cipassword: password,
      sshkeys: encodeURIComponent(key),
      ipconfig0: "ip=192.0.2.77/24,gw=192.0.2.1",
      nameserver: "192.0.2.53",
      tags: "mcp;template",
    });
    expect(sent("PUT", /config$/)).toHaveLength(1);
    expect([text, JSON.stringify(data), ...server.logged].join()).not.toContain(password);
  });

  test("with dry_run shows all requests, no secret, and sends none", async () => {
    const args = { name: "web-9", vmid: 777, cores: 4, password, start: true, dry_run: true };
    const { text, data } = await clone(args);
    expect(server.simulator.log.changes()).toEqual([]);
    expect(text).toContain("POST /nodes/pve1/qemu/9000/clone");
    expect(text).toContain("PUT /nodes/pve1/qemu/777/config");
    expect(text).toContain('"cipassword":"<hidden>"');
    expect(text).toContain("POST /nodes/pve1/qemu/777/status/start");
    expect(text + JSON.stringify(data)).not.toContain(password);
  });

  test("that fails is told, and the clone is not started without it", async () => {
    const reason = "Permission check failed (/vms/100, VM.Config.CPU)";
    server.simulator.faults.reply({ status: 403, reason }, { method: "PUT", times: 1 });
    const { data, text, isError } = await clone({ name: "web-9", cores: 4, start: true });
    expect(isError).toBe(false);
    expect(data).toMatchObject({ status: "stopped" });
    expect(text).toMatch(/could not be set up.*VM\.Config\.CPU/);
    expect(text).toContain("not started");
    expect(sent("POST", /start$/)).toHaveLength(0);
  });

  test("refuses cloud-init where nobody would hear it, keys and addresses that are none", async () => {
    const bare = { vm: "sandbox", name: "web-9", user: "ops" };
    const vmid = "310";
    expect((await server.call("clone_vm", { ...bare, vm: vmid })).text).toContain(
      "cloud-init drive",
    );
    expect((await clone({ name: "web-9", ssh_keys: ["nonsense"] })).kind).toBe("invalid_input");
    expect((await clone({ name: "web-9", ips: ["192.0.2.5"] })).kind).toBe("invalid_input");
    expect(server.simulator.log.changes()).toEqual([]);
  });
});

describe("its address", () => {
  test("is waited for within wait_s only, and told when the agent does", async () => {
    const { data } = await clone({ name: "web-9", start: true, wait_s: 60 });
    expect(data["addresses"]).toEqual([expect.stringMatching(/^198\.51\.100\.\d+$/)]);
    const asked = server.simulator.log.count({ path: /network-get-interfaces$/ });
    expect(asked).toBeLessThanOrEqual(4);
  });

  test("that no agent tells ends the wait, not the answer", async () => {
    Object.assign(guest(9000)?.traits ?? {}, { agent: false });
    const from = server.clock.now();
    const { data, text, isError } = await clone({ name: "web-9", start: true, wait_s: 30 });
    expect(isError).toBe(false);
    expect(data).not.toHaveProperty("addresses");
    expect(text).toContain("and running.");
    const next = `get_vm {vm: "${data["vmid"]}", include: ["agent"]}`;
    expect(text).toContain(`its address is not known: its guest agent has told none yet. Ask`);
    expect(text).toContain(next);
    // The last question may keep its host waiting for another 3 s.
    expect(server.clock.now() - from).toBeLessThanOrEqual(33_000);
  });

  test("is not asked for where there is no agent, no start, or no time", async () => {
    await clone({ name: "web-8" });
    await clone({ name: "web-9", start: true, wait_s: 0 });
    delete guest(9000)?.config["agent"];
    const { text } = await clone({ name: "web-12", start: true });
    expect(text).toContain("its address is not known: the option agent is off");
    expect(server.simulator.log.count({ path: /network-get-interfaces$/ })).toBe(0);
  });
});

describe("count", () => {
  test("tells of each what it lacks, and none without an address takes the time of the others", async () => {
    Object.assign(guest(9000)?.traits ?? {}, { agent: false });
    const args = { name: "web-11", count: 9, start: true, wait_s: 100 };
    const { data, text } = await clone(args);
    expect(items(data).map(({ vmid }) => guest(vmid)?.run.status)).toEqual(
      Array(9).fill("running"),
    );
    for (const { vmid } of items(data)) {
      expect(text).toContain(`get_vm {vm: "${vmid}", include: ["agent"]}`);
    }
    expect(text).not.toContain("still runs");
  });

  test("makes several, counting the name up from the first", async () => {
    const { data, text } = await clone({ name: "web-11", count: 3, cores: 4, start: true });
    expect(items(data).map(({ name }) => name)).toEqual(["web-11", "web-12", "web-13"]);
    expect(new Set(items(data).map(({ vmid }) => vmid)).size).toBe(3);
    for (const { vmid, name } of items(data)) {
      expect(guest(vmid)?.config).toMatchObject({ name, cores: "4" });
      expect(guest(vmid)?.run.status).toBe("running");
    }
    expect(text.split("\n")).toHaveLength(3);
  });

  test.each([
    ["node", ["node-1", "node-2"]],
    ["node-09", ["node-09", "node-10"]],
    ["n9", ["n9", "n10"]],
  ])("of %s makes %o", async (name, names) => {
    const { data } = await clone({ name, count: 2 });
    expect(items(data).map((item) => item.name)).toEqual(names);
  });

  test("tells which of them could not be made; the others are", async () => {
    const { data, text } = await clone({ name: "web-2", count: 3 });
    expect(items(data).map(({ error }) => error?.kind)).toEqual([
      "conflict",
      "conflict",
      undefined,
    ]);
    expect(text).toContain("web-2: conflict");
    expect(text).toContain("(web-4)");
  });

  test("with vmid counts that up too; with one fixed address is refused", async () => {
    const { data } = await clone({ name: "a-1", count: 2, vmid: 700 });
    expect(items(data).map(({ vmid }) => vmid)).toEqual([700, 701]);
    const mark = server.simulator.log.mark();
    const fixed = await clone({ name: "b-1", count: 2, ips: ["192.0.2.5/24"] });
    expect(fixed.kind).toBe("invalid_input");
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });

  test("ten at once get ten vmids though nextid repeats itself, a few at a time", async () => {
    const body = JSON.stringify({ data: "100" });
    server.simulator.faults.reply({ status: 200, body }, { path: /nextid$/ });
    const { data } = await clone({ name: "many-1", count: 10 });
    const vmids = items(data).map(({ vmid }) => vmid);
    expect(new Set(vmids).size).toBe(10);
    for (const { vmid, name } of items(data)) expect(guest(vmid)?.config["name"]).toBe(name);
    const all = [...server.simulator.world.guests.values()].map(({ config }) => config["name"]);
    expect(all.filter((name) => name?.startsWith("many-"))).toHaveLength(10);
  });
});
