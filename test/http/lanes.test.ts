import { setMaxListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { Hearing } from "../../src/http/hearing.ts";
import { Lanes } from "../../src/http/lanes.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";

const patient = new AbortController().signal;
setMaxListeners(0, patient);
const turn = () => new Promise((resolve) => setImmediate(resolve));

function lanesOf() {
  const clock = new VirtualClock();
  const hearing = new Hearing(() => clock.now());
  return { clock, hearing, lanes: new Lanes(clock, hearing) };
}

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
  test("let four requests run on a node and eight on the connection, first those of nodes that have the least to do", async () => {
    const { lanes, hearing } = lanesOf();
    for (const node of ["a", "b", "c"]) hearing.heard(node);
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
    const lanes = lanesOf().lanes;
    const work = new Work();
    const full = ["1", "2", "3", "4"].map((n) => lanes.run("pve1", patient, work.named(n)));
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
    for (const name of ["1", "last", "2", "3", "4"]) await work.end(name);
    expect(await Promise.all([...full, last])).toEqual(["1", "2", "3", "4", "last"]);
    expect(work.started).toEqual(["1", "2", "3", "4", "last"]);
  });

  test("free a place when the work fails", async () => {
    const lanes = lanesOf().lanes;
    const failing = () => Promise.reject(new Error("broken"));
    for (let again = 0; again < 20; again++)
      await expect(lanes.run("pve1", patient, failing)).rejects.toThrow("broken");
    expect(await lanes.run("pve1", patient, async () => "next")).toBe("next");
  });

  test("do not begin for who has given up already", async () => {
    const lanes = lanesOf().lanes;
    const work = new Work();
    await expect(
      lanes.run("pve1", AbortSignal.abort(new Error("early")), work.named("x")),
    ).rejects.toThrow("early");
    expect(work.started).toEqual([]);
  });

  test("keep two places for others while a node has two and is not known to answer: two that hang leave room", async () => {
    const lanes = lanesOf().lanes;
    const work = new Work();
    for (const node of ["a", "b"])
      for (const n of [1, 2, 3, 4, 5]) void lanes.run(node, patient, work.named(`${node}${n}`));
    await turn();
    expect(work.started).toEqual(["a1", "a2", "a3", "a4", "b1", "b2"]);
    const others = ["c1", "c2"].map((name) => lanes.run("c", patient, work.named(name)));
    const cluster = lanes.run(undefined, patient, work.named("cluster"));
    await turn();
    expect(work.started.slice(6)).toEqual(["c1", "c2"]);
    for (const name of ["c1", "c2", "cluster"]) await work.end(name);
    expect(await Promise.all([...others, cluster])).toEqual(["c1", "c2", "cluster"]);
  });

  test("do not let what takes a node longer than two seconds keep others waiting, up to sixteen such", async () => {
    const { clock, lanes } = lanesOf();
    const work = new Work();
    const nodes = ["a", "b", "c", "d", "e", "f", "g"];
    for (const node of nodes)
      for (const n of [1, 2, 3, 4, 5]) void lanes.run(node, patient, work.named(`${node}${n}`));
    await clock.advance(1_999);
    expect(work.started).toHaveLength(8);
    await clock.advance(1);
    expect(work.started).toHaveLength(16);
    await clock.advance(60_000);
    // None of the seven answers: each gets its third place only while two are free for others.
    expect(work.started).toHaveLength(22);
    // None has more than four, and a place is given back once only.
    for (const node of nodes)
      expect(work.started.filter((name) => name.startsWith(node)).length).toBeLessThanOrEqual(4);
    for (const name of work.started) await work.end(name);
    expect(work.started).toHaveLength(35);
  });
});
