import { beforeEach, describe, expect, test } from "vitest";
import { type Answer, type Lab, lab } from "../kit.ts";

const template = "debian-13-template";
let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const names = (count: number) => Array.from({ length: count }, (_, index) => `new-${index + 1}`);
const order = (name: string) => ({ vm: template, name, full: true, wait_s: 3_600 });
const clones = () => server.simulator.log.count({ method: "POST", path: /\/clone$/ });
const made = (name: string) =>
  [...server.simulator.world.guests.values()].some(({ config }) => config["name"] === name);

/** Lets time pass until all are answered, and sees how many clones were in the making at most. */
async function most(answers: Promise<readonly Answer[]>) {
  let seen = 0;
  for (let step = 0; step < 600; step++) {
    await server.clock.advance(200);
    const guests = [...server.simulator.world.guests.values()];
    seen = Math.max(seen, guests.filter(({ config }) => config["lock"] === "clone").length);
  }
  return { seen, answers: await server.clock.run(answers) };
}

describe("clones from one node", () => {
  test("are made three at a time, whichever calls wish for them", async () => {
    const begun = names(10).map((name) => server.begin("clone_vm", order(name)));
    const { seen, answers } = await most(Promise.all(begun));
    expect(seen).toBe(3);
    expect(answers.map(({ kind }) => kind)).toEqual(Array(10).fill(""));
    expect(new Set(answers.map(({ data }) => data["vmid"])).size).toBe(10);
    expect(names(10).every(made)).toBe(true);
  });

  test("of a series too", async () => {
    const begun = server.begin("clone_vm", { ...order("new-1"), count: 6 });
    const { seen, answers } = await most(Promise.all([begun]));
    expect(seen).toBe(3);
    expect(answers[0]?.data["results"]).toHaveLength(6);
    expect(names(6).every(made)).toBe(true);
  });

  test("do not hold up those from another one", async () => {
    const here = names(4).map((name) => server.begin("clone_vm", order(name)));
    const other = server.begin("clone_vm", { ...order("other-1"), vm: "legacy-erp", wait_s: 0 });
    const { isError } = await server.clock.run(other);
    expect(isError).toBe(false);
    await server.clock.run(Promise.all(here));
  });

  test("tell those who wait that they do", async () => {
    const told: string[] = [];
    const onProgress = ({ message = "" }) => told.push(message);
    const first = names(3).map((name) => server.begin("clone_vm", order(name)));
    await server.clock.advance(1_000);
    const fourth = server.begin("clone_vm", order("late-1"), { onProgress });
    await server.clock.advance(1_000);
    expect(told).toEqual(["waits for its turn: 3 clones from pve1 are being made"]);
    await server.clock.run(Promise.all([...first, fourth]));
    expect(made("late-1")).toBe(true);
  });

  test("are given up while they wait, and the next in line gets the turn", async () => {
    const stop = new AbortController();
    const first = names(3).map((name) => server.begin("clone_vm", order(name)));
    await server.clock.advance(1_000);
    const given = server.begin("clone_vm", order("gone-1"), { signal: stop.signal });
    const last = server.begin("clone_vm", order("last-1"));
    await server.clock.advance(1_000);
    stop.abort();
    await expect(given).rejects.toThrow();
    await server.clock.run(Promise.all([...first, last]));
    expect(made("gone-1")).toBe(false);
    expect(made("last-1")).toBe(true);
    expect(clones()).toBe(4);
    expect((await server.call("clone_vm", order("gone-1"))).isError).toBe(false);
  });

  test("whose turn does not come in time are refused, and nothing was sent for them", async () => {
    for (const name of names(3)) await server.call("clone_vm", { ...order(name), wait_s: 0 });
    const { kind, text } = await server.call("clone_vm", { ...order("late-1"), wait_s: 0 });
    expect(kind).toBe("busy");
    expect(text).toContain("Nothing was sent for it");
    expect(clones()).toBe(3);
    expect((await server.call("clone_vm", order("late-1"))).isError).toBe(false);
  });

  test("give their turn back when they are refused or fail", async () => {
    const reply = { status: 500, reason: "trouble" };
    server.simulator.faults.reply(reply, { method: "POST", path: /clone$/, times: 3 });
    for (const name of names(3)) {
      expect((await server.call("clone_vm", { ...order(name), wait_s: 0 })).isError).toBe(true);
    }
    const later = names(3).map((name) => server.call("clone_vm", { ...order(name), wait_s: 0 }));
    expect((await Promise.all(later)).map(({ kind }) => kind)).toEqual(["", "", ""]);
  });

  test("ask for the name again when their turn has come", async () => {
    const first = names(3).map((name) => server.begin("clone_vm", order(name)));
    await server.clock.advance(1_000);
    const fourth = server.begin("clone_vm", order("late-1"));
    await server.clock.advance(1_000);
    server.simulator.outside.create({ vmid: 888, name: "late-1", node: "pve2" });
    const answers = await server.clock.run(Promise.all([...first, fourth]));
    expect(answers.map(({ kind }) => kind)).toEqual(["", "", "", "conflict"]);
    expect(clones()).toBe(3);
  });
});
