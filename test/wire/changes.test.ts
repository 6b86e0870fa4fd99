import { beforeEach, describe, expect, test } from "vitest";
import { httpsLab } from "./https.ts";

type Https = Awaited<ReturnType<typeof httpsLab>>;

let server: Https;

beforeEach(async () => {
  server = await httpsLab();
  await server.call("list_guests");
});

/** What a change has asked and sent, the looks at its task told apart: those depend on how long it takes. */
async function sent(name: string, args: Record<string, unknown>) {
  const mark = server.simulator.log.mark();
  const answer = await server.call(name, args);
  expect(answer.text, answer.text).not.toMatch(/^[a-z_]+: /);
  const paths = server.simulator.log.paths(mark);
  const looks = paths.filter((path) => /^GET \/nodes\/\w+\/tasks\/.*\/status$/.test(path));
  return { answer, looks: looks.length, rest: paths.filter((path) => !looks.includes(path)) };
}

const guest = (node: string, type: string, vmid: number) => ({
  config: `GET /nodes/${node}/${type}/${vmid}/config`,
  status: `GET /nodes/${node}/${type}/${vmid}/status/current`,
  at: `/nodes/${node}/${type}/${vmid}`,
});

describe("with the rows in memory, over HTTPS", () => {
  test("start_guest costs two reads, the change and its looks", async () => {
    const { config, status, at } = guest("pve2", "qemu", 302);
    const { answer, rest, looks } = await sent("start_guest", { guest: "staging-web-2" });
    expect(rest).toEqual([config, status, `POST ${at}/status/start`]);
    expect(looks).toBeGreaterThan(0);
    expect(answer.data).toMatchObject({ vmid: 302, status: "running", changed: true });
    expect(server.simulator.world.guests.get(302)?.run.status).toBe("running");
  });

  test.each(["shutdown", "stop"])("stop_guest by %s costs the same", async (mode) => {
    const { config, status, at } = guest("pve1", "lxc", 202);
    const { answer, rest } = await sent("stop_guest", { guest: "proxy-1", mode });
    expect(rest).toEqual([config, status, `POST ${at}/status/${mode}`]);
    expect(answer.data).toMatchObject({ vmid: 202, status: "stopped", changed: true });
  });

  test("stop_guest by suspend costs the same", async () => {
    const { config, status, at } = guest("pve1", "qemu", 101);
    const { rest } = await sent("stop_guest", { guest: "web-1", mode: "suspend" });
    expect(rest).toEqual([config, status, `POST ${at}/status/suspend`]);
  });

  test("delete_guest costs two reads and the change once its question was asked", async () => {
    const { config, status, at } = guest("pve3", "qemu", 212);
    const question = await server.call("delete_guest", { guest: "build-2" });
    expect(question.kind).toBe("confirmation_required");
    expect(server.simulator.log.paths().slice(1)).toEqual([config, status, "GET /cluster/backup"]);
    const { rest, answer } = await sent("delete_guest", { guest: "build-2", confirm: "build-2" });
    expect(rest).toEqual([config, status, `DELETE ${at}`]);
    expect(answer.data).toMatchObject({ vmid: 212, status: "deleted", changed: true });
    expect(server.simulator.world.guests.has(212)).toBe(false);
  });

  test("delete_guest without a question before reads the backup jobs besides, once", async () => {
    const { config, status, at } = guest("pve3", "qemu", 212);
    const { rest } = await sent("delete_guest", { guest: "build-2", confirm: "build-2" });
    expect(rest).toEqual([config, status, "GET /cluster/backup", `DELETE ${at}`]);
  });

  test("clone_vm costs two reads and the change; tagging the new VM one read and a change", async () => {
    const template = guest("pve1", "qemu", 9000);
    const { answer, rest } = await sent("clone_vm", { vm: "debian-13-template", name: "new-1" });
    const vmid = Number(answer.data["vmid"]);
    const made = guest("pve1", "qemu", vmid);
    expect(rest).toEqual([
      "GET /cluster/nextid",
      template.config,
      `POST ${template.at}/clone`,
      made.config,
      `PUT ${made.at}/config`,
    ]);
    expect(server.simulator.world.guests.get(vmid)?.config["name"]).toBe("new-1");
  });

  test("a wished vmid saves clone_vm the question for a free one", async () => {
    const args = { vm: "debian-13-template", name: "new-1", vmid: 777 };
    const { rest } = await sent("clone_vm", args);
    expect(rest).not.toContain("GET /cluster/nextid");
    expect(rest).toHaveLength(4);
  });

  test("clone_container costs the same as clone_vm", async () => {
    const args = { container: "debian-13-ct-template", name: "new-ct" };
    const { rest } = await sent("clone_container", args);
    expect(rest).toHaveLength(5);
    expect(rest.filter((path) => path.startsWith("GET"))).toHaveLength(3);
  });

  test("no other guest's answer is lost to a change, and the changed one is read live", async () => {
    await server.call("get_vm", { vm: "web-1" });
    await server.call("get_vm", { vm: "staging-web-2" });
    await server.call("start_guest", { guest: "staging-web-2" });
    const mark = server.simulator.log.mark();
    expect((await server.call("get_vm", { vm: "staging-web-2" })).data["status"]).toBe("running");
    const after = server.simulator.log.paths(mark);
    const { config, status } = guest("pve2", "qemu", 302);
    expect(after).toEqual(expect.arrayContaining([config, status]));
    await server.call("get_vm", { vm: "web-1" });
    expect(server.simulator.log.paths(mark)).toEqual(after);
  });
});
