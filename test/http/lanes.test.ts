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
    const { lanes } = lanesOf();
    const work = new Work();
    const all = ["a", "b", "c", "d"].flatMap((node) =>
      [1, 2, 3, 4, 5].map((n) => lanes.run(node, patient, work.named(`${node}${n}`))),
    );
    await turn();
    expect(work.started).toEqual(["a1", "a2", "a3", "a4", "b1", "b2", "c1", "d1"]);
    await work.end("a1");
    expect(work.started.slice(8)).toEqual([]); // the last place is for a node that holds none
    await work.end("d1");
    expect(work.started.slice(8)).toEqual(["d2"]);
    for (let next = 0; next < 20; next++) {
      for (const name of work.started) await work.end(name);
    }
    expect(await Promise.all(all)).toHaveLength(20);
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

  test("keep two places for others where two nodes have the rest: two that hang leave room", async () => {
    const { lanes, hearing } = lanesOf();
    for (const node of ["a", "b"]) hearing.heard(node, 0); // they have answered just now, and hang all the same
    const work = new Work();
    for (const node of ["a", "b"])
      for (const n of [1, 2, 3, 4, 5]) void lanes.run(node, patient, work.named(`${node}${n}`));
    await turn();
    expect(work.started).toEqual(["a1", "a2", "a3", "a4", "b1", "b2"]);
    const others = ["c1", "c2"].map((name) => lanes.run("c", patient, work.named(name)));
    const cluster = lanes.run(undefined, patient, work.named("cluster"));
    await turn();
    expect(work.started.slice(6)).toEqual(["c1", "cluster"]);
    for (const name of ["c1", "c2", "cluster"]) await work.end(name);
    expect(await Promise.all([...others, cluster])).toEqual(["c1", "c2", "cluster"]);
  });

  test("keep one place for a node that has none where three have the rest", async () => {
    const { lanes } = lanesOf();
    const work = new Work();
    for (const node of ["a", "b", "c"])
      for (const n of [1, 2, 3, 4, 5]) void lanes.run(node, patient, work.named(`${node}${n}`));
    await turn();
    expect(work.started).toEqual(["a1", "a2", "a3", "a4", "b1", "b2", "c1"]);
    void lanes.run("d", patient, work.named("d1"));
    await turn();
    expect(work.started.slice(7)).toEqual(["d1"]);
  });

  describe("after two seconds", () => {
    /** Two of each of seven nodes ask at once; after a second, `heard` is told. */
    async function asked(heard: (hearing: Hearing) => void) {
      const { clock, hearing, lanes } = lanesOf();
      const work = new Work();
      for (const n of [1, 2])
        for (const node of ["a", "b", "c", "d", "e", "f", "g"])
          void lanes.run(node, patient, work.named(`${node}${n}`));
      await clock.advance(1_000);
      heard(hearing);
      await clock.advance(999);
      const early = work.started.length;
      await clock.advance(1);
      const after = work.started.length;
      await clock.advance(60_000);
      return { early, after, late: work.started.length, lanes, work };
    }

    test("go on as before where nobody has answered what was asked later", async () => {
      expect(await asked(() => undefined)).toMatchObject({ early: 7, after: 7, late: 7 });
      const sameTime = (hearing: Hearing) => hearing.heard("h", 1_000);
      expect(await asked(sameTime)).toMatchObject({ early: 7, after: 7, late: 7 });
    });

    test("take an answer of the node itself for no proof that only it hangs", async () => {
      const { clock, hearing } = lanesOf();
      const since = clock.now();
      await clock.advance(1_000);
      hearing.heard("a", 50);
      expect(["a", "b"].map((node) => hearing.othersAnswer(node, since))).toEqual([false, true]);
    });

    test.each([undefined, "h"])(
      "give four places back, and no more, where %s has answered",
      async (who) => {
        const { early, late, work, lanes } = await asked((hearing) => hearing.heard(who, 50));
        expect(early).toBe(7);
        // Three of seven hold places still, and the last is kept for a node that has none.
        expect(work.started.slice(7)).toEqual(["a2", "b2", "c2", "d2"]);
        expect(late).toBe(11);
        // A place is given back once only.
        for (const name of work.started) await work.end(name);
        expect(work.started).toHaveLength(14);
        for (let n = 0; n < 12; n++) void lanes.run(`${n}`, patient, work.named(`next ${n}`));
        await turn();
        expect(work.started.slice(14)).toHaveLength(8);
      },
    );
  });
});
