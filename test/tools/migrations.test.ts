import { beforeEach, describe, expect, test } from "vitest";
import { guestOf, type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const guest = (vmid: number) => guestOf(server.simulator.world, vmid);

/** Calls, and what of it was sent besides reads. */
async function migrate(args: Record<string, unknown>) {
  const { sent: requests, ...answer } = await server.act("migrate_guest", { wait_s: 600, ...args });
  const sent = requests.map(({ method, path }) => `${method} ${path}`);
  return { ...answer, sent };
}

interface Row {
  readonly vmid?: number;
  readonly guest?: string;
  readonly node?: string;
  readonly changed?: boolean;
  readonly error?: { readonly kind: string; readonly message: string };
}

const rows = ({ data }: { data: Readonly<Record<string, unknown>> }) =>
  data["results"] as readonly Row[];

describe("several", () => {
  test("each has its own outcome, and two move at a time", async () => {
    const guests = ["web-1", "files-1", "git", "proxy-1", "staging-web-1"];
    const begun = server.begin("migrate_guest", { guests, target: "pve3", wait_s: 3600 });
    const moving = [101, 210, 202, 301];
    let most = 0;
    for (let second = 0; second < 120; second++) {
      await server.clock.advance(1_000);
      most = Math.max(most, moving.filter((vmid) => guest(vmid).config["lock"]).length);
    }
    const answer = await server.clock.run(begun);
    expect(most).toBe(2);
    expect(rows(answer).map(({ vmid, error }) => vmid ?? error?.kind)).toEqual([
      101,
      "locked",
      210,
      202,
      301,
    ]);
    expect(answer.text).toContain("4 of 5 guests moved.");
    expect(moving.map((vmid) => guest(vmid).node)).toEqual(Array(4).fill("pve3"));
  });

  test("who has had no turn in time is named, and the repeated call goes on", async () => {
    const args = { guests: ["web-1", "git", "proxy-1", "staging-web-1"], target: "pve3" };
    const first = await migrate({ ...args, wait_s: 0 });
    expect(rows(first).length).toBe(2);
    expect(first.data["waiting"]).toEqual(["proxy-1", "staging-web-1"]);
    expect(first.text).toContain("Not begun, for want of a turn: proxy-1, staging-web-1.");
    expect(first.sent.length).toBe(2);
    await server.clock.advance(300_000);
    expect(guest(202).node).toBe("pve1");
    const second = await migrate(args);
    expect(rows(second).map(({ changed }) => changed)).toEqual([false, false, true, true]);
    expect(second.sent.length).toBe(2);
  });

  test("a turn comes to those who wait, also from other calls", async () => {
    const one = server.begin("migrate_guest", {
      guest: "web-1",
      target: "pve3",
      at_once: 1,
      wait_s: 600,
    });
    const two = server.begin("migrate_guest", {
      guest: "git",
      target: "pve3",
      at_once: 1,
      wait_s: 600,
    });
    await server.clock.advance(1_000);
    expect([101, 210].filter((vmid) => guest(vmid).config["lock"]).length).toBe(1);
    const answers = await server.clock.run(Promise.all([one, two]));
    expect(answers.map(({ data }) => data["node"])).toEqual(["pve3", "pve3"]);
  });

  test("who finds its guest moved when its turn has come passes it on", async () => {
    const begin = (name: string) =>
      server.begin("migrate_guest", { guest: name, target: "pve3", at_once: 1, wait_s: 3600 });
    const all = ["web-1", "git", "git", "proxy-1"].map(begin);
    const answers = await server.clock.run(Promise.all(all));
    expect(answers.map(({ data }) => data["changed"])).toEqual([true, true, false, true]);
    expect((await migrate({ guest: "cache-1", target: "pve3", at_once: 1 })).isError).toBe(false);
  });

  test("a failure gives its turn back", async () => {
    server.simulator.faults.reply(
      { status: 500, reason: "trouble" },
      { method: "POST", path: /101\/migrate$/ },
    );
    for (const _ of [1, 2, 3]) {
      expect((await migrate({ guest: "web-1", target: "pve3", at_once: 1 })).isError).toBe(true);
    }
    const { data } = await migrate({ guest: "git", target: "pve3", at_once: 1, wait_s: 0 });
    expect(data["changed"]).toBe(true);
  });
});

describe("a node is emptied", () => {
  test("every guest goes where there is room, and what can't is told", async () => {
    const before = [...server.simulator.world.guests.values()].filter(
      ({ node }) => node === "pve2",
    );
    const answer = await migrate({ from_node: "pve2", wait_s: 3600 });
    expect(rows(answer).length).toBe(before.length);
    const failed = rows(answer).filter(({ error }) => error);
    expect(failed).toMatchObject([{ guest: "qemu/150", error: { kind: "locked" } }]);
    await server.clock.advance(60_000);
    const left = before.filter((one) => one.node === "pve2").map(({ vmid }) => vmid);
    expect(left).toEqual([150]);
    const targets = new Set(before.map(({ node }) => node));
    expect(targets).toEqual(new Set(["pve1", "pve2", "pve3"]));
    expect(JSON.stringify(rows(answer)[0])).not.toContain("UPID");
  });

  test("the plan counts the memory that is taken by then, and sends nothing", async () => {
    // The first and the last: neither node has room for both.
    for (const vmid of [102, 303]) guest(vmid).config["memory"] = "52000";
    await server.clock.advance(15_000);
    const { sent, text, data } = await migrate({ from_node: "pve2", dry_run: true });
    const targets = [102, 303].map(
      (vmid) => new RegExp(`VM ${vmid} .* to (pve\\d)`).exec(text)?.[1],
    );
    expect(targets.sort()).toEqual(["pve1", "pve3"]);
    expect(sent).toEqual([]);
    expect(text).toContain("to pve1");
    expect(text).toContain("to pve3");
    expect(data).not.toHaveProperty("waiting");
    expect(text.split("\n").every((line) => !line.includes("undefined"))).toBe(true);
    expect(text).toMatch(
      /^The call moves VM 102 \(web-2\) on pve2 to pve\d, live, with its local disks\.$/m,
    );
  });
});
