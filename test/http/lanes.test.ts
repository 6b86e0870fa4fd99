import { setMaxListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { Lanes } from "../../src/http/lanes.ts";

const patient = new AbortController().signal;
setMaxListeners(0, patient);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Work that runs until it is told to end. */
class Work {
  readonly started: string[] = [];
  readonly #ends = new Map<string, () => void>();

  named(name: string): () => Promise<string> {
    return () => {
      this.started.push(name);
      return new Promise((resolve) => this.#ends.set(name, () => resolve(name)));
    };
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.();
    await turn();
  }
}

describe("the lanes", () => {
  test("let four requests run on a node and eight on the connection, the others in the order they came", async () => {
    const lanes = new Lanes();
    const work = new Work();
    const all = ["a", "b", "c"].flatMap((node) =>
      [1, 2, 3, 4, 5].map((n) => lanes.run(node, patient, work.named(`${node}${n}`))),
    );
    await turn();
    expect(work.started).toEqual(["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4"]);
    await work.end("b1");
    await work.end("a1");
    expect(work.started.slice(8)).toEqual(["c1", "c2"]);
    for (let next = 0; next < 15; next++) {
      for (const name of work.started) await work.end(name);
    }
    expect(await Promise.all(all)).toHaveLength(15);
  });

  test("never run what was cancelled in the queue, and give its place to the next", async () => {
    const lanes = new Lanes({ perConnection: 1 });
    const work = new Work();
    const first = lanes.run(undefined, patient, work.named("first"));
    const giveUp = new AbortController();
    setMaxListeners(0, giveUp.signal);
    const reason = new Error("enough");
    const cancelled = Array.from({ length: 50 }, (_, n) =>
      lanes.run("pve1", giveUp.signal, work.named(`cancelled ${n}`)),
    );
    const last = lanes.run("pve1", patient, work.named("last"));
    await turn();
    giveUp.abort(reason);
    const outcomes = await Promise.allSettled(cancelled);
    expect(outcomes.every((one) => one.status === "rejected" && one.reason === reason)).toBe(true);
    await work.end("first");
    await work.end("last");
    expect(await Promise.all([first, last])).toEqual(["first", "last"]);
    expect(work.started).toEqual(["first", "last"]);
  });

  test("free a place when the work fails", async () => {
    const lanes = new Lanes({ perNode: 1, perConnection: 1 });
    const failing = () => Promise.reject(new Error("broken"));
    await expect(lanes.run("pve1", patient, failing)).rejects.toThrow("broken");
    expect(await lanes.run("pve1", patient, async () => "next")).toBe("next");
  });

  test("do not begin for who has given up already", async () => {
    const lanes = new Lanes();
    const work = new Work();
    await expect(
      lanes.run("pve1", AbortSignal.abort(new Error("early")), work.named("x")),
    ).rejects.toThrow("early");
    expect(work.started).toEqual([]);
  });
});
