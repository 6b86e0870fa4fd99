import { describe, expect, test } from "vitest";
import { type Answer, type Lab, lab, tools } from "../kit.ts";

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

test("a list shows what we have changed, however old an answer may be", async () => {
  const { call, cost } = await lab();
  await call("list_guests");
  await call("update_guest", { guest: 101, set: { tags: "zebra" } });
  const { data } = await call("list_guests", { tag: "zebra", max_age_s: 100 });
  expect(data["total"]).toBe(1);
  expect(await cost("list_guests", { tag: "zebra" })).toBe(0);
});

describe("under constant changes of ours", () => {
  const vms = [101, 102, 103, 110];
  /** The rows take longer than the next change does to come. */
  async function busy() {
    const server = await lab({ latencyMs: 700 });
    await server.call("list_guests");
    const change = (turn: number) =>
      server.begin("update_guest", { guest: vms[turn % 4], set: { tags: `turn-${turn}` } });
    const changes: Promise<Answer>[] = [];
    for (let turn = 0; turn < 12; turn++) {
      changes.push(change(turn));
      await server.clock.advance(500);
    }
    const until = async (done: () => boolean) => {
      for (let turn = 12; turn < 60 && !done(); turn++) {
        changes.push(change(turn));
        await server.clock.advance(500);
      }
      await server.clock.run(Promise.all(changes));
    };
    return { server, until };
  }

  test("a list is answered after three looks at the rows", async () => {
    const { server, until } = await busy();
    let answer: Answer | undefined;
    void server.begin("list_guests").then((given) => {
      answer = given;
    });
    await until(() => answer !== undefined);
    expect(answer?.kind).toBe("");
    expect(answer?.meta["apiCalls"]).toBeLessThanOrEqual(3);
  });

  test("whom nobody changes is found for its configuration only", async () => {
    const { server, until } = await busy();
    let answer: Answer | undefined;
    void server.begin("get_vm", { vm: "db-1" }).then((given) => {
      answer = given;
    });
    await until(() => answer !== undefined);
    expect(answer?.data["vmid"]).toBe(120);
    expect(answer?.meta["apiCalls"]).toBe(1);
  });
});

test("get_cluster and get_node count a guest that we have just started", async () => {
  const { call, simulator } = await lab({ tools });
  const counts = async () => {
    const { data } = await call("get_cluster");
    const nodes = data["nodes"] as readonly { readonly node: string; readonly running: number }[];
    const { running = 0 } = data["guests"] as { readonly running?: number };
    return { running, there: nodes.find(({ node }) => node === "pve1")?.running ?? 0 };
  };
  const guest = [...simulator.world.guests.values()].find(
    ({ node, run, config }) => node === "pve1" && run.status === "stopped" && !config["template"],
  );
  const before = await counts();
  expect((await call("start_guest", { guest: guest?.vmid })).isError).toBe(false);
  const after = { running: before.running + 1, there: before.there + 1 };
  expect(await counts()).toEqual(after);
  expect((await call("get_node", { node: "pve1" })).data["running"]).toBe(after.there);
});
