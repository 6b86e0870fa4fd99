import { describe, expect, test } from "vitest";
import { ReadCache } from "../../src/cache/cache.ts";
import { MemoryStore } from "../../src/cache/memory.ts";
import type { Fetched, Freshness } from "../../src/cache/reading.ts";
import { Call } from "../../src/proxmox/api/call.ts";

const freshness: Freshness = { trustedMs: 10_000, keptMs: 60_000, tags: ["guest"] };

/** A cache over a source that answers when the test says so. */
function rig() {
  let now = 0;
  const cache = new ReadCache(new MemoryStore(), () => now);
  const pending: {
    resolve: (value: string) => void;
    reject: (error: Error) => void;
    signal: AbortSignal;
  }[] = [];
  const fetch = (signal: AbortSignal) =>
    new Promise<Fetched<string>>((resolve, reject) => {
      pending.push({ resolve: (value) => resolve({ value, bytes: 1 }), reject, signal });
    });
  const read = (call = new Call()) => cache.read("key", freshness, call, fetch);
  const live = (call = new Call()) => cache.live("key", freshness, call, fetch);
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const pass = (ms: number) => {
    now += ms;
  };
  return { cache, pending, read, live, settle, pass };
}

/** Reads once, so that something is kept. */
async function warm(value = "first") {
  const made = rig();
  const answer = made.read();
  await made.settle();
  made.pending[0]?.resolve(value);
  await answer;
  return made;
}

describe("freshness", () => {
  test("an answer is served from memory for as long as its kind is trusted, counted from the fetch's beginning", async () => {
    const { read, pending, pass, settle } = await warm();
    pass(10_000);
    expect(await read()).toBe("first");
    expect(pending).toHaveLength(1);
    pass(1);
    void read();
    await settle();
    expect(pending).toHaveLength(2);
  });

  test("a caller may take older answers up to what is kept, younger ones, or none", async () => {
    const { read, pending, pass, settle } = await warm();
    pass(59_000);
    expect(await read(new Call({ maxAgeMs: 3_600_000 }))).toBe("first");
    pass(2_000);
    void read(new Call({ maxAgeMs: 3_600_000 }));
    await settle();
    expect(pending).toHaveLength(2);
    pending[1]?.resolve("second");
    await settle();
    void read(new Call({ maxAgeMs: 0 }));
    await settle();
    expect(pending, "0 is live, also in the same millisecond").toHaveLength(3);
  });

  test("an invalidated answer is not served again, however young", async () => {
    const { cache, read, pending, settle } = await warm();
    await cache.invalidate(["guest"]);
    void read();
    await settle();
    expect(pending).toHaveLength(2);
  });

  test("what other tags say leaves an answer alone", async () => {
    const { cache, read, pending } = await warm();
    await cache.invalidate(["another guest"]);
    expect(await read()).toBe("first");
    expect(pending).toHaveLength(1);
  });
});

describe("one flight", () => {
  test("equal reads at the same time are one fetch", async () => {
    const { read, pending, settle } = rig();
    const answers = Promise.all(Array.from({ length: 50 }, () => read()));
    await settle();
    expect(pending).toHaveLength(1);
    pending[0]?.resolve("shared");
    expect(new Set(await answers)).toEqual(new Set(["shared"]));
  });

  test("a failed fetch fails every waiter once, and the next call tries again", async () => {
    const { read, pending, settle } = rig();
    const answers = Promise.allSettled([read(), read()]);
    await settle();
    pending[0]?.reject(new Error("down"));
    expect((await answers).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    const again = read();
    await settle();
    pending[1]?.resolve("up");
    expect(await again).toBe("up");
  });

  test("a reader that gives up does not take the fetch from those who wait", async () => {
    const { read, pending, settle } = rig();
    const controller = new AbortController();
    const impatient = read(new Call({ signal: controller.signal }));
    const patient = read();
    await settle();
    controller.abort();
    await expect(impatient).rejects.toMatchObject({ kind: "cancelled" });
    expect(pending[0]?.signal.aborted).toBe(false);
    pending[0]?.resolve("there");
    expect(await patient).toBe("there");
  });

  test("a fetch that nobody waits for any more is aborted, and nobody joins it", async () => {
    const { read, pending, settle } = rig();
    const controller = new AbortController();
    const only = read(new Call({ signal: controller.signal }));
    await settle();
    controller.abort();
    await expect(only).rejects.toMatchObject({ kind: "cancelled" });
    expect(pending[0]?.signal.aborted).toBe(true);
    void read();
    await settle();
    expect(pending).toHaveLength(2);
  });

  test("a live read joins nothing that began before it, and what it brings is kept", async () => {
    const { read, live, pending, settle } = rig();
    void read();
    await settle();
    const asked = live();
    await settle();
    expect(pending).toHaveLength(2);
    pending[1]?.resolve("newest");
    expect(await asked).toBe("newest");
    pending[0]?.resolve("older");
    await settle();
    expect(await read()).toBe("newest");
  });
});

describe("changes while a fetch is under way", () => {
  test("what a fetch brings that a change has overtaken is neither served nor kept", async () => {
    const { cache, read, pending, settle } = rig();
    const answer = read();
    await settle();
    await cache.invalidate(["guest"]);
    pending[0]?.resolve("before the change");
    await settle();
    expect(cache.counters.lateFillsDropped).toBe(1);
    pending[1]?.resolve("after the change");
    expect(await answer).toBe("after the change");
  });

  test("a read that is overtaken again and again ends in `busy`", async () => {
    const { cache, read, pending, settle } = rig();
    const answer = expect(read()).rejects.toMatchObject({ kind: "busy" });
    for (let round = 0; round < 10; round++) {
      await settle();
      await cache.invalidate(["guest"]);
      pending[round]?.resolve("old");
    }
    await answer;
    expect(pending).toHaveLength(10);
  });
});

describe("accounts", () => {
  test("a call knows how old its oldest part is and whether anything was fetched for it", async () => {
    const { read, pass } = await warm();
    pass(4_000);
    const call = new Call();
    await read(call);
    expect(call.summary(4_000)).toMatchObject({ ageMs: 4_000, source: "cache", apiCalls: 0 });
  });

  test("hits, misses and joins are counted", async () => {
    const { cache, read, live, pending, settle } = await warm();
    await read();
    void live();
    void read(new Call({ maxAgeMs: 0 }));
    await settle();
    pending[1]?.resolve("x");
    await settle();
    expect(cache.counters).toMatchObject({ hits: 1, misses: 2, joined: 1 });
  });
});
