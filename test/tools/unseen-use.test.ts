import { beforeEach, describe, expect, test } from "vitest";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, lab, tools } from "../kit.ts";
import { removals } from "../removals.ts";

const keeper = { tokenId: "keeper@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
const isoVolid = "nfs-shared:iso/virtio-win-0.1.285.iso";

let server: Lab;

/** Somebody who may do everything to storages, and see what these roles let them see besides. */
async function start(roles: Readonly<Record<string, string>> = {}) {
  server = await lab({ token: keeper, settleMs: 0, tools });
  addToken(server.simulator.world, {
    id: keeper.tokenId,
    secret: keeper.secret,
    roles: { "/storage": "PVEDatastoreAdmin", ...roles },
  });
  await server.clock.advance(15_000);
}

beforeEach(() => start());
const { put, there, remove } = removals(() => server);

describe("an owner that is not visible", () => {
  test.each([
    ["of a running VM", "local-lvm:vm-101-disk-0", "pve1", 101],
    ["of a container", "local-lvm:vm-200-disk-0", "pve1", 200],
    ["of a template", "nfs-shared:9000/base-9000-disk-0.qcow2", "", 9000],
  ])("keeps the disk %s", async (_, volid, node, vmid) => {
    for (const args of [{}, { dry_run: true }, { confirm: undefined }]) {
      const { kind, text, facts, sent } = await remove(volid, args);
      expect(kind, text).toBe("conflict");
      expect(text).toContain(
        `guest ${vmid} is not visible with these credentials (VM.Audit on /vms/${vmid})`,
      );
      expect(text).toMatch(
        new RegExp(`pveum acl modify /vms/${vmid} --tokens '\\S+!\\S+' --roles PVEAuditor`),
      );
      expect(facts).toMatchObject({ vmid, path: `/vms/${vmid}`, privileges: ["VM.Audit"] });
      expect(sent).toEqual([]);
    }
    expect(there(volid, node)).toBe(true);
  });

  test("one that nobody could have overlooked is gone, and its disk may go", async () => {
    await start({ "/vms/777": "PVEAuditor" });
    for (const vmid of [777, 778]) {
      const volid = `local-lvm:vm-${vmid}-disk-0`;
      put(volid, "pve1", { vmid });
    }
    expect((await remove("local-lvm:vm-777-disk-0")).data["status"]).toBe("deleted");
    expect((await remove("local-lvm:vm-778-disk-0")).kind).toBe("conflict");
    expect(there("local-lvm:vm-778-disk-0", "pve1")).toBe(true);
  });
});

describe("other guests that are not visible", () => {
  const unseen = /guests that are not visible with these credentials \(VM\.Audit on \/vms\)/;

  test("are told in the question", async () => {
    const { kind, text, facts } = await remove(isoVolid, { confirm: undefined });
    expect(kind).toBe("confirmation_required");
    expect(JSON.stringify(facts["lost"])).toMatch(unseen);
    expect(text).toMatch(unseen);
  });

  test("are not told where all are visible", async () => {
    await start({ "/vms": "PVEAuditor" });
    const { kind, facts } = await remove(isoVolid, { confirm: undefined });
    expect(kind).toBe("confirmation_required");
    expect(JSON.stringify(facts["lost"])).not.toMatch(unseen);
  });

  test("are told where the right does not reach below /vms", async () => {
    const { acl } = server.simulator.world;
    acl.push({
      path: "/vms",
      who: "keeper@pve",
      kind: "user",
      role: "PVEAuditor",
      propagate: false,
    });
    const { facts } = await remove(isoVolid, { confirm: undefined });
    expect(JSON.stringify(facts["lost"])).toMatch(unseen);
  });
});
