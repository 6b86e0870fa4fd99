import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";
import { removals } from "../removals.ts";

const isoVolid = "nfs-shared:iso/virtio-win-0.1.285.iso";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const { there, guest, remove } = removals(() => server);

describe("what other guests use is asked now", () => {
  test("also where memory still knows their configuration from a second ago", async () => {
    await server.call("get_vm", { vm: "legacy-erp" });
    await server.clock.advance(1_000);
    guest(140).config["ide2"] = `${isoVolid},media=cdrom`;
    const { kind, facts, sent } = await remove(isoVolid);
    expect(kind).toBe("conflict");
    expect(JSON.stringify(facts["uses"])).toMatch(/VM 140 .* uses it as ide2/);
    expect(sent).toEqual([]);
    expect(there(isoVolid)).toBe(true);
  });

  test("and a running VM that loses it at its next start only has it until then", async () => {
    guest(101).config["ide2"] = `${isoVolid},media=cdrom`;
    guest(101).pendingDelete.push("ide2");
    const { kind, facts } = await remove(isoVolid);
    expect(kind).toBe("conflict");
    expect(JSON.stringify(facts["uses"])).toMatch(/VM 101 .* uses it as ide2/);
    expect(there(isoVolid)).toBe(true);
  });

  test("one that is off has what its configuration says, for one request", async () => {
    await remove(isoVolid, { confirm: undefined });
    const asked = (vmid: number) =>
      server.simulator.log.paths().filter((path) => path.endsWith(`/${vmid}/config`)).length;
    expect(guest(302).run.status).toBe("stopped");
    expect([asked(101), asked(302)]).toEqual([2, 1]);
  });
});

describe("what could not be checked is told", () => {
  const offline = /use not checked for VM 102 .*node offline/;
  const snapshots = "use not checked for snapshots of other guests";

  test("in the plan, in the question and in the answer", async () => {
    server.simulator.outside.nodeDown("pve2");
    await server.clock.advance(10_001);
    const planned = await remove(isoVolid, { dry_run: true });
    expect(planned.sent).toEqual([]);
    const asked = await remove(isoVolid, { confirm: undefined });
    expect(asked.kind).toBe("confirmation_required");
    const deleted = await remove(isoVolid);
    expect(deleted.data["status"]).toBe("deleted");
    for (const { text } of [planned, asked, deleted]) {
      expect(text).toMatch(offline);
      expect(text).toContain(snapshots);
    }
    for (const { data } of [planned, deleted]) {
      expect(data["warnings"]).toEqual(
        expect.arrayContaining([expect.stringMatching(offline), snapshots]),
      );
    }
  });

  test("and nothing where all was", async () => {
    const volume = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";
    const { data, text } = await remove(volume);
    expect(data).not.toHaveProperty("warnings");
    expect(text).not.toContain("not checked");
  });
});

test("an answer that got lost sends to where it shows, which is no guest", async () => {
  server.simulator.faults.cutAfterWorld({ method: "DELETE" });
  const { kind, text, facts } = await remove(isoVolid);
  expect(kind).toBe("outcome_unknown");
  expect(text).toContain('get_tasks {node: "pve1"}');
  expect(text).toContain('list_storage {storage: "nfs-shared", node: "pve1", max_age_s: 0}');
  expect(text).not.toContain("get_vm");
  expect(facts["volid"]).toBe(isoVolid);
  const args = { storage: "nfs-shared", node: "pve1", max_age_s: 0, content: "iso" };
  await server.clock.advance(5_000);
  expect((await server.call("list_storage", args)).data["total"]).toBe(0);
});

describe("where the storage is out of reach, no other one is advised", () => {
  const storage = "nfs-shared";

  test.each(["offline", "disabled"] as const)("it is %s", async (how) => {
    const found = server.simulator.world.storages.get(storage);
    if (found) found[how] = true;
    await server.clock.advance(how === "disabled" ? 130_000 : 0);
    for (const args of [{}, { dry_run: true }]) {
      const { kind, text, sent } = await remove(isoVolid, args);
      expect(kind).toBe("conflict");
      expect(text).toMatch(/Nothing was (?:sent|deleted)\. Try again when it answers/);
      expect(text).toContain(`list_storage {storage: "${storage}", max_age_s: 0}`);
      expect(text).not.toMatch(/another (?:storage|node)|is not online (?!\.)/);
      expect(sent).toEqual([]);
    }
    expect(there(isoVolid)).toBe(true);
  });

  test("what Proxmox says ends with a full stop", async () => {
    const found = server.simulator.world.storages.get(storage);
    if (found) found.offline = true;
    expect((await remove(isoVolid)).text).toContain("is not online. Nothing was deleted.");
  });

  test("its node is offline", async () => {
    server.simulator.outside.nodeDown("pve2");
    await server.clock.advance(10_001);
    const { kind, text } = await remove("local-lvm:vm-102-disk-0", { node: "pve2" });
    expect(kind).toBe("unreachable");
    expect(text).toContain("Node pve2 is offline. Nothing was deleted.");
    expect(text).not.toContain("another node");
  });
});
