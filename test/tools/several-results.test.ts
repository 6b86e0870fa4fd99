import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { beforeEach, describe, expect, test } from "vitest";
import { addGuest } from "../../src/simulator/world-builder.ts";
import { type Answer, type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
});

interface Row {
  readonly guest?: string;
  readonly vmid?: number;
  readonly status?: string;
  readonly error?: {
    readonly kind: string;
    readonly message?: string;
    readonly next?: string;
    readonly like?: string;
    readonly facts?: Readonly<Record<string, unknown>>;
  };
}

const rows = ({ data }: Answer) => data["results"] as readonly Row[];

/** Guests `worker-700` … `worker-749`, running. */
async function addWorkers(): Promise<readonly string[]> {
  const vmids = Array.from({ length: 50 }, (_, index) => 700 + index);
  for (const vmid of vmids) {
    const runningSince = server.clock.now();
    const memoryMib = 512;
    const worker = { vmid, name: `worker-${vmid}`, node: "pve1", runningSince, memoryMib };
    addGuest(server.simulator.world, worker);
  }
  await server.clock.advance(20_000);
  return vmids.map((vmid) => `worker-${vmid}`);
}

function short(answer: Answer) {
  expect(encode(JSON.stringify(answer.data)).length).toBeLessThanOrEqual(2_000);
  expect(encode(answer.text).length).toBeLessThanOrEqual(2_000);
}

describe("of a few guests each that failed", () => {
  test("keeps its own next step, as text and as data", async () => {
    const guests = ["files-1", "no-such", "dns-1"];
    const answer = await server.call("restart_guest", { guests });
    const [locked, missing, fine] = rows(answer);
    expect(locked?.error?.next).toMatch(/^See what runs with get_tasks {guest: "150"}/);
    expect(missing?.error?.next).toContain("list_guests");
    expect(fine?.error).toBeUndefined();
    expect(answer.text).toContain('See what runs with get_tasks {guest: "150"}');
    expect(answer.text).toContain(missing?.error?.next);
  });

  test("has facts, and the log of a failed task only where it is asked for", async () => {
    const stubborn = ["legacy-erp", "dns-1"];
    const answer = await server.call("stop_guest", { guests: stubborn, wait_s: 600 });
    const failed = rows(answer).find(({ error }) => error?.kind === "task_failed");
    expect(failed?.error?.facts).toHaveProperty("upid");
    expect(failed?.error?.facts).not.toHaveProperty("log");
    expect(failed?.error?.next).toContain("pull the plug");
    expect(answer.text.split("\n")).toHaveLength(2);
  });
});

describe("of fifty guests", () => {
  test("the answer is short when all went well", async () => {
    const guests = await addWorkers();
    const answer = await server.call("stop_guest", { guests, wait_s: 600 });
    expect(rows(answer).map(({ status }) => status)).toEqual(Array(50).fill("stopped"));
    short(answer);
  });

  test("equal reasons are told once, with their next step and whom they are about", async () => {
    const guests = await addWorkers();
    for (let vmid = 700; vmid < 745; vmid++) server.simulator.outside.lock(vmid, "backup");
    const answer = await server.call("stop_guest", { guests, wait_s: 600 });
    const [first, second, ...more] = rows(answer);
    expect(first).toEqual({
      guest: "worker-700",
      error: {
        kind: "locked",
        message: expect.stringContaining("VM 700 (worker-700) on pve1 is locked (backup)"),
        next: expect.stringContaining('get_tasks {guest: "700"}'),
      },
    });
    expect(second).toEqual({ guest: "worker-701", error: { kind: "locked", like: "worker-700" } });
    expect(more.filter(({ error }) => error?.like === "worker-700")).toHaveLength(43);
    expect(more.at(-1)?.status).toBe("stopped");
    const lines = answer.text.split("\n");
    expect(lines).toHaveLength(6);
    expect(lines[0]).toMatch(/^worker-700, worker-701, .*, worker-744: locked: VM 700/);
    expect(lines[0]).toContain('See what runs with get_tasks {guest: "700"}');
    short(answer);
  });

  test("different reasons are told apart", async () => {
    const guests = await addWorkers();
    for (const vmid of [700, 702]) server.simulator.outside.lock(vmid, "backup");
    for (const vmid of [701, 703]) server.simulator.outside.lock(vmid, "migrate");
    const asked = [...guests.slice(0, 48), "nobody", "none"];
    const answer = await server.call("stop_guest", { guests: asked, wait_s: 600 });
    const likes = rows(answer).map(({ error }) => error && (error.like ?? "first"));
    expect(likes.slice(0, 5)).toEqual(["first", "first", "worker-700", "worker-701", undefined]);
    expect(likes.slice(48)).toEqual(["first", "nobody"]);
    for (const word of ["(backup)", "(migrate)", 'no guest named "nobody"']) {
      expect(answer.text).toContain(word);
    }
    short(answer);
  });

  test("there is room for some reasons only, where each has another", async () => {
    const guests = await addWorkers();
    for (let vmid = 700; vmid < 750; vmid++) {
      const reason = `trouble of the ${"abcdefghij"[vmid % 10]}${"klmno"[(vmid - 700) % 5]} kind ${"so it is ".repeat(10)}`;
      server.simulator.faults.reply(
        { status: 500, reason: `${reason}${String.fromCharCode(65 + ((vmid - 700) % 26))}` },
        { method: "POST", path: new RegExp(`/${vmid}/status/`) },
      );
    }
    const answer = await server.call("stop_guest", { guests, wait_s: 600 });
    expect(rows(answer).every(({ error }) => error)).toBe(true);
    expect(rows(answer)[0]?.error?.next).toBeDefined();
    expect(answer.text).toContain("too many reasons for one answer");
    short(answer);
  });
});

test("a node that can't be emptied: each reason with its next step", async () => {
  const guests = await addWorkers();
  for (let vmid = 700; vmid < 750; vmid++) server.simulator.outside.lock(vmid, "backup");
  const answer = await server.call("migrate_guest", { guests, target: "pve2", wait_s: 600 });
  expect(rows(answer)[0]?.error?.next).toContain('get_tasks {guest: "700"}');
  expect(answer.text).toContain('get_tasks {guest: "700"}');
  short(answer);
});
