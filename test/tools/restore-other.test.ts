import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab, tools } from "../kit.ts";

const web = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";
let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const net = (vmid: number) => server.simulator.world.guests.get(vmid)?.config["net0"];

/** Calls, and what of it was sent besides reads. */
async function restore(args: Record<string, unknown>) {
  const { sent, ...answer } = await server.act("restore_backup", { wait_s: 600, ...args });
  return { ...answer, sent, body: sent[0]?.body };
}

describe("over a guest that is another one than was backed up", () => {
  const other = { volume: web, guest: "web-2", start: true };

  beforeEach(async () => {
    server.simulator.outside.powerOff(102);
    await server.clock.advance(15_000);
  });

  test("refuses to make a second guest of a name, in a dry run too", async () => {
    const { kind, text, sent } = await restore({ ...other, confirm: "web-2" });
    expect(kind).toBe("conflict");
    expect(text).toContain("would be called web-1 like VM 101 on pve1, which is there");
    expect(text).toContain("Give it another name with name");
    expect(sent).toEqual([]);
    const plan = await restore({ ...other, dry_run: true });
    expect(plan.text).toContain("Against it: conflict: VM 102 (web-2) on pve2 would be called");
    expect(plan.text).toContain("; it is called web-1 then and has new MAC addresses");
  });

  test("under another name, which is said before, with addresses of its own", async () => {
    const asked = await restore({ ...other, name: "web-9" });
    expect(asked.kind).toBe("confirmation_required");
    expect(asked.text).toContain("it is called web-9 then and has new MAC addresses");
    const { data, body } = await restore({ ...other, name: "web-9", confirm: "web-2" });
    expect(body).toMatchObject({ vmid: "102", force: "1", unique: "1", name: "web-9" });
    expect(data).toMatchObject({ vmid: 102, name: "web-9", status: "running" });
    expect(net(102)).not.toBe(net(101));
    const { data: vm } = await server.call("get_vm", { vm: "web-9" });
    expect(vm).toMatchObject({ vmid: 102, status: "running" });
  });

  test("under the name of the backup, where nobody has it any more", async () => {
    server.simulator.outside.destroy(101);
    await server.clock.advance(15_000);
    const { data, body } = await restore({ ...other, confirm: "web-2" });
    expect(body).toMatchObject({ force: "1", unique: "1" });
    expect(data).toMatchObject({ vmid: 102, name: "web-1", status: "running" });
  });
});
