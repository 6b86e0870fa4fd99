import { expect, test } from "vitest";
import { type Lab, lab, tools } from "../kit.ts";

/** Tool, arguments, and the vmids that it touches; the first is read again afterwards. */
const changes: readonly (readonly [string, Record<string, unknown>, readonly number[]])[] = [
  ["start_guest", { guest: "staging-web-2" }, [302]],
  ["stop_guest", { guest: "proxy-1", mode: "stop" }, [202]],
  ["stop_guest", { guest: "web-1", mode: "shutdown" }, [101]],
  ["stop_guest", { guest: "web-1", mode: "suspend" }, [101]],
  ["create_snapshot", { guest: "wiki" }, [151]],
  ["clone_vm", { vm: "debian-13-template", name: "new-1", vmid: 777 }, [777, 9000]],
  ["clone_vm", { vm: "web-1", name: "new-1", vmid: 777, full: true }, [777, 101]],
  ["clone_container", { container: "debian-13-ct-template", name: "new", vmid: 777 }, [777, 9001]],
  ["delete_guest", { guest: "build-2", confirm: "build-2" }, [212]],
  ["update_guest", { guest: "web-1", set: { tags: "zebra" } }, [101]],
  ["update_guest", { guest: "web-1", set: { name: "zebra" } }, [101]],
  ["delete_snapshot", { guest: "wiki", name: "before-upgrade", confirm: "wiki" }, [151]],
  ["create_vm", { name: "new-1", node: "pve1", vmid: 777, memory: 512 }, [777]],
  ["convert_to_template", { guest: "build-2", confirm: "build-2" }, [212]],
  ["migrate_guest", { guest: "web-1", target: "pve2" }, [101]],
];

/** Whether rows in memory are still trusted: then nobody asks what has happened. */
function isFresh({ simulator, clock }: Lab): boolean {
  const inventories = simulator.log.filter({ path: "/cluster/resources" });
  return clock.now() - (inventories.at(-1)?.at ?? 0) < 10_000;
}

test.each(changes)(
  "after %s %o that guest is read live, and nobody else is read again",
  async (tool, args, [changed = 0, ...also]) => {
    const server = await lab({ tools });
    const { simulator, call } = server;
    const look = (vmid: number, type: string) =>
      type === "qemu" ? call("get_vm", { vm: vmid }) : call("get_container", { container: vmid });
    const all = [...simulator.world.guests.values()].map(({ vmid, type }) => ({ vmid, type }));
    for (const { vmid, type } of all) expect((await look(vmid, type)).kind).toBe("");

    const done = await call(tool, args);
    expect(done.isError, done.text).toBe(false);

    const mark = simulator.log.mark();
    const others = all.filter(({ vmid }) => vmid !== changed && !also.includes(vmid));
    const news = isFresh(server)
      ? []
      : expect.not.arrayContaining([expect.stringMatching("/nodes/")]);
    for (const { vmid, type } of others) await look(vmid, type);
    expect(simulator.log.paths(mark)).toEqual(news);
    const guest = simulator.world.guests.get(changed);
    const answer = await look(changed, guest?.type ?? "qemu");
    if (guest) expect(answer.meta).toMatchObject({ source: "live" });
    else expect(answer.kind).toBe("not_found");
  },
);
