import { describe, expect, test } from "vitest";
import { type Lab, lab, tools } from "../kit.ts";

let server: Lab;
/** Called once, when the next change of ours is on its way to Proxmox. */
let overtake: (() => void) | undefined;

async function start(): Promise<void> {
  overtake = undefined;
  server = await lab({
    tools,
    wire: (simulator) => ({
      send: (request) => {
        const config = /\/(?:config|resize|move_disk|move_volume)$/.test(request.path);
        const act = config && request.method !== "GET" ? overtake : undefined;
        if (act) overtake = undefined;
        act?.();
        return simulator.send(request);
      },
      close: () => simulator.close(),
    }),
  });
}

const configOf = (vmid: number) => ({ ...server.simulator.world.guests.get(vmid)?.config });

interface Case {
  readonly tool: string;
  readonly guest: string;
  readonly vmid: number;
  readonly args: Record<string, unknown>;
  /** A key whose present value the conflict tells; absent where there is none yet. */
  readonly key?: string;
  /** The call takes the digest that its caller has seen. */
  readonly digest?: boolean;
  /** Calls that make the scene. */
  readonly before?: readonly [tool: string, args: Record<string, unknown>][];
}

const vm = { guest: "staging-web-2", vmid: 302 };
const ct = { guest: "lxc/311", vmid: 311 };
const more = { size: "1G", storage: "local-lvm" };
const data = { ...more, mountpoint: "/srv/data" };
const second: Case["before"] = [["attach_disk", more]];
const mount: Case["before"] = [["attach_disk", data]];
const confirmed = { ...vm, tool: "detach_disk", key: "scsi1", before: second };
const unmounted = { ...ct, tool: "detach_disk", key: "mp0", before: mount };

/** Every tool that writes into a guest's configuration. */
const cases: readonly Case[] = [
  { ...vm, tool: "update_guest", args: { set: { memory: 1024 } }, key: "memory", digest: true },
  { ...ct, tool: "update_guest", args: { set: { memory: 1024 } }, key: "memory", digest: true },
  { ...vm, tool: "update_guest", args: { unset: ["net0"] }, key: "net0", digest: true },
  { ...vm, tool: "resize_disk", args: { disk: "scsi0", size: "+1G" }, key: "scsi0", digest: true },
  {
    ...ct,
    tool: "resize_disk",
    args: { disk: "rootfs", size: "+1G" },
    key: "rootfs",
    digest: true,
  },
  { ...vm, tool: "move_disk", args: { disk: "scsi0", storage: "nfs-shared" }, key: "scsi0" },
  { ...ct, tool: "move_disk", args: { disk: "rootfs", storage: "nfs-shared" }, key: "rootfs" },
  { ...vm, tool: "attach_disk", args: { ...more, slot: "scsi1" } },
  { ...ct, tool: "attach_disk", args: { ...data, slot: "mp0" } },
  { ...confirmed, args: { disk: "scsi1", confirm: "staging-web-2" } },
  { ...confirmed, args: { disk: "scsi1", confirm: "staging-web-2", destroy: true } },
  { ...unmounted, args: { disk: "mp0", confirm: "sandbox" } },
  { ...unmounted, args: { disk: "mp0", confirm: "sandbox", destroy: true } },
];

describe("a change that somebody else overtakes between our read and our request", () => {
  test.each(cases)(
    "$tool of $guest $args: conflict with the fresh digest and value, nothing done, and the retry succeeds",
    async ({ tool, guest, vmid, args, key, digest, before = [] }) => {
      await start();
      for (const [name, given] of before) {
        expect((await server.call(name, { guest, ...given })).kind).toBe("");
      }
      overtake = () => server.simulator.outside.setConfig(vmid, { description: "theirs" });
      const theirs = { ...configOf(vmid), description: "theirs" };
      const refused = await server.call(tool, { guest, ...args });
      expect(refused.kind).toBe("conflict");
      expect(configOf(vmid)).toEqual(theirs);
      const { data } = await server.call(vmid === ct.vmid ? "get_container" : "get_vm", {
        [vmid === ct.vmid ? "container" : "vm"]: guest,
        max_age_s: 0,
      });
      expect(refused.facts["digest"]).toBe(data["digest"]);
      const { current } = refused.facts as { current: Record<string, string> };
      expect(Object.keys(current)).toEqual(key === undefined ? [] : [key]);
      expect(refused.text.includes(`with digest: "${data["digest"]}"`)).toBe(digest === true);
      const seen = digest ? { digest: refused.facts["digest"] } : {};
      const retry = await server.call(tool, { guest, ...args, ...seen });
      expect(retry.kind).toBe("");
      expect(retry.data["changed"]).toBe(true);
      expect(configOf(vmid)["description"]).toBe("theirs");
      const bodies = server.simulator.log.changes().map(({ body }) => body);
      for (const body of bodies) expect(body?.["digest"]).toMatch(/^[0-9a-f]{40}$/);
    },
  );

  test.each(
    cases.filter(({ tool, vmid }) => vmid === vm.vmid && /update|attach|detach/.test(tool)),
  )(
    "$tool of $guest $args: the same where PVE notices it in its task only",
    async ({ tool, guest, vmid, args, key, before = [] }) => {
      await start();
      for (const [name, given] of before) await server.call(name, { guest, ...given });
      const { simulator, clock } = server;
      const mark = simulator.log.mark();
      const begun = server.begin(tool, { guest, ...args });
      while (simulator.log.changes(mark).length === 0) await clock.advance(1);
      await clock.advance(5);
      simulator.outside.setConfig(vmid, { description: "theirs" });
      const refused = await clock.run(begun);
      expect(refused.kind).toBe("conflict");
      expect(refused.facts["digest"]).toMatch(/^[0-9a-f]{40}$/);
      const { current } = refused.facts as { current: Record<string, string> };
      expect(Object.keys(current)).toEqual(key === undefined ? [] : [key]);
      expect((await server.call(tool, { guest, ...args })).data["changed"]).toBe(true);
    },
  );

  test("the volume of a container that is taken out and then not destroyed is told, with the fresh digest", async () => {
    await start();
    await server.call("attach_disk", { guest: "lxc/311", ...data });
    let requests = 0;
    const theirs = () => server.simulator.outside.setConfig(311, { description: "theirs" });
    overtake = () => {
      requests++;
      // The first takes it out, the second would destroy it.
      overtake = theirs;
    };
    const args = { disk: "mp0", destroy: true, confirm: "sandbox" };
    const kept = await server.call("detach_disk", { guest: "lxc/311", ...args });
    expect(requests).toBe(1);
    expect(kept.kind).toBe("conflict");
    expect(kept.text).toContain("was taken out of");
    expect(kept.facts["digest"]).toMatch(/^[0-9a-f]{40}$/);
    expect(configOf(311)["unused0"]).toBeDefined();
    const again = { guest: "lxc/311", ...args, disk: "unused0" };
    expect((await server.call("detach_disk", again)).data["changed"]).toBe(true);
    expect(configOf(311)["unused0"]).toBeUndefined();
  });

  test.each([
    ["clone_vm", { vm: "debian-13-template", name: "copy-1", cores: 3 }, { cores: "3" }],
    ["clone_container", { container: "debian-13-ct-template", name: "copy-2" }, {}],
  ])("%s sets its own guest up upon what is there now", async (tool, args, wanted) => {
    await start();
    let vmid = 0;
    overtake = () => {
      const names = ["copy-1", "copy-2"];
      for (const guest of server.simulator.world.guests.values()) {
        const name = guest.config["name"] ?? guest.config["hostname"] ?? "";
        if (names.includes(name)) vmid = guest.vmid;
      }
      server.simulator.outside.setConfig(vmid, { tags: "theirs", description: "theirs" });
    };
    const { data: answer, kind, text } = await server.call(tool, args);
    expect(kind).toBe("");
    expect(answer["vmid"]).toBe(vmid);
    expect(text).not.toContain("could not be");
    expect(configOf(vmid)).toMatchObject({ tags: "mcp;theirs", description: "theirs", ...wanted });
  });
});
