import { beforeEach, describe, expect, test } from "vitest";
import { guestOf, type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
});

const world = (vmid: number) => guestOf(server.simulator.world, vmid);

describe("somebody else's change between our read and our request", () => {
  test.each([
    ["resize_disk", 302, { disk: "scsi0", size: "+8G" }],
    ["resize_disk", 311, { disk: "rootfs", size: "+8G" }],
    ["move_disk", 302, { disk: "scsi0", storage: "nfs-shared" }],
  ])("%s of %i: conflict, and the disk is as it was", async (tool, vmid, args) => {
    server = await lab({
      tools,
      wire: (simulator) => ({
        send: (request) => {
          if (request.method !== "GET") simulator.outside.setConfig(vmid, { cores: "7" });
          return simulator.send(request);
        },
        close: () => simulator.close(),
      }),
    });
    const before = world(vmid).config[args.disk];
    const refused = await server.call(tool, { guest: String(vmid), ...args });
    expect(refused.kind).toBe("conflict");
    expect(world(vmid).config[args.disk]).toBe(before);
  });
});

describe("a CD image", () => {
  const isos = [
    "local:iso/debian-13.2.0-amd64-netinst.iso",
    "nfs-shared:iso/virtio-win-0.1.285.iso",
  ];
  const attach = (volume: string | undefined) =>
    server.call("attach_disk", { guest: "web-1", volume, slot: "ide2" });

  test("for a drive that is full: the next step that is named puts it in", async () => {
    // A drive is no hot-plugged device: it is there after the restart.
    await attach(isos[0]);
    await server.call("restart_guest", { guest: "web-1", wait_s: 120 });
    const full = await attach(isos[1]);
    expect(full.kind).toBe("conflict");
    expect(full.text).toContain(
      `update_guest {guest: "101", set: {"ide2": "${isos[1]},media=cdrom"}}`,
    );
    const set = { ide2: `${isos[1]},media=cdrom` };
    const changed = await server.call("update_guest", { guest: "101", set });
    expect(changed.data["changed"]).toBe(true);
    expect(world(101).config["ide2"]).toContain("virtio-win");
  });

  test("that is not there is not_found, naming the volume", async () => {
    const missing = await attach("local:iso/nope.iso");
    expect(missing.kind).toBe("not_found");
    expect(missing.facts).toMatchObject({ volume: "local:iso/nope.iso" });
    expect(missing.text).toContain("list_storage");
  });
});
