import { expect, test } from "vitest";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, lab, tools } from "../kit.ts";
import { successor } from "../successor.ts";

const url =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const order = { name: "debian-13", url, storage: "local-lvm" };
const secret = "99999999-0000-4000-8000-000000000009";
const foreign = { tokenId: "maker@pve!t", secret };

/** A cluster on which the image is there already. */
async function seeded(): Promise<Lab> {
  const server = await lab();
  addToken(server.simulator.world, {
    id: foreign.tokenId,
    secret,
    roles: { "/": "Administrator" },
    privsep: false,
  });
  await server.call("create_template", { ...order, name: "seed" });
  return server;
}

/** Begins another VM, whose creation takes a while, and answers what is told of it. */
async function creating(server: Lab): Promise<Readonly<Record<string, unknown>>> {
  const { volumes } = server.simulator.world;
  const image = [...volumes.values()].find(({ volid }) => volid.includes(":import/"));
  const disks = [`local-lvm:0,import-from=${image?.volid}`];
  const { data } = await server.call("create_vm", { name: "db-new", disks, wait_s: 0 });
  expect(data["status"]).toBe("creating");
  return data;
}

test("another VM that our token is creating is waited for, and never taken for the template", async () => {
  const server = await seeded();
  const { vmid: other } = await creating(server);
  const second = await successor(server);
  const plan = await second.call("create_template", { ...order, dry_run: true });
  expect(plan.data["vmid"]).toBeUndefined();
  expect(plan.text).toMatch(/waits for the end of a creation.*POST \/nodes\/pve\d\/qemu/s);
  const begun = await second.call("create_template", { ...order, wait_s: 0 });
  expect(begun.data).toMatchObject({ name: "debian-13", status: "creating" });
  expect(begun.data["vmid"]).toBeUndefined();
  expect(begun.text).not.toContain("undefined");
  const { kind } = await second.call("get_vm", { vm: "debian-13" });
  expect(kind).toBe("not_found");
  const { data, text } = await second.call("create_template", { ...order, wait_s: 300 });
  const { guests } = server.simulator.world;
  expect(guests.get(Number(data["vmid"]))?.config).toMatchObject({
    name: "debian-13",
    template: "1",
  });
  expect(data["vmid"]).not.toBe(other);
  expect(text).toContain(`VM ${data["vmid"]} (debian-13)`);
  expect(guests.get(Number(other))?.config).toMatchObject({ name: "db-new" });
  expect(guests.get(Number(other))?.config["template"]).toBeUndefined();
});

test("the other creation fails: the template is made all the same", async () => {
  const server = await seeded();
  const { upid } = await creating(server);
  const second = await successor(server, { tools });
  const begun = second.begin("create_template", { ...order, wait_s: 300 });
  await second.clock.advance(200);
  await second.call("stop_task", { upid });
  const { text } = await second.clock.run(begun);
  expect(text).toContain("(debian-13)");
  expect(text).toContain("is a template");
});

test("what another user is creating is not ours, and not waited for", async () => {
  const server = await seeded();
  await creating(server);
  const second = await successor(server, { token: foreign });
  const begun = await second.call("create_template", { ...order, wait_s: 0 });
  expect(begun.data["vmid"]).toBeTypeOf("number");
  const { data } = await second.call("create_template", { ...order, wait_s: 300 });
  expect(data).toMatchObject({ vmid: begun.data["vmid"], status: "stopped" });
});
