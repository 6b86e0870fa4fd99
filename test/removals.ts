import { expect } from "vitest";
import type { Volume } from "../src/simulator/world.ts";
import { guestOf, type Lab } from "./kit.ts";

/** What tests of deleting volumes say again and again; `lab`: the one of now. */
export function removals(lab: () => Lab) {
  const world = () => lab().simulator.world;

  /** A volume of our own making. */
  function put(volid: string, node: string, more: Partial<Volume> = {}) {
    const content = volid.includes(":iso/") ? "iso" : "images";
    const figures = { format: "raw", sizeBytes: 1024 ** 3, ctime: 1_767_000_000 };
    world().volumes.set(`${node}/${volid}`, { volid, node, content, ...figures, ...more });
  }

  const there = (volid: string, node = "") => world().volumes.has(`${node}/${volid}`);

  const guest = (vmid: number) => guestOf(world(), vmid);

  /** Deletes with the confirmation that is asked for, and what of it was sent. */
  function remove(volume: string, args: Record<string, unknown> = {}) {
    return lab().act("delete_storage_content", { volume, confirm: volume, ...args });
  }

  /** Refused as in use, and still there. */
  async function inUse(volid: string, node: string, by: RegExp) {
    const { kind, text, facts, sent } = await remove(volid, node === "" ? {} : { node });
    expect(kind, text).toBe("conflict");
    expect(JSON.stringify(facts["uses"])).toMatch(by);
    expect(sent).toEqual([]);
    expect(there(volid, node)).toBe(true);
    return text;
  }

  return { put, there, guest, remove, inUse };
}
