import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../src/cache/memory.ts";
import { storeSuite } from "./store-suite.ts";

storeSuite("the memory store", () => new MemoryStore());

describe("the memory store's bounds", () => {
  const entry = (bytes: number) => ({ value: 0, beganAt: 0, fill: 1, tags: [], epochs: [], bytes });

  test("the longest unused entry makes room, and is named", async () => {
    const evicted: string[] = [];
    const store = new MemoryStore({ maxBytes: 100, onEvict: (key) => evicted.push(key) });
    await store.set("one", entry(40));
    await store.set("two", entry(40));
    await store.get("one");
    await store.set("three", entry(40));
    expect(evicted).toEqual(["two"]);
    expect(store.size().bytes).toBeLessThanOrEqual(100);
  });

  test("an entry larger than everything is not kept", async () => {
    const store = new MemoryStore({ maxBytes: 100 });
    await store.set("huge", entry(101));
    expect(await store.get("huge")).toBeUndefined();
  });

  test("counters that are forgotten come back with a value they never had", async () => {
    const store = new MemoryStore({ maxTags: 4 });
    await store.bump(["a"]);
    const before = await store.epochs(["a", "never bumped"]);
    await store.bump(["b", "c", "d", "e", "f"]);
    const after = await store.epochs(["a", "never bumped"]);
    expect(after[0]).not.toBe(before[0]);
    expect(after[1], "what has no counter is invalid too").not.toBe(before[1]);
  });
});
