import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const isoVolid = "nfs-shared:iso/virtio-win-0.1.285.iso";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

afterEach(() => server.close());

const world = () => server.simulator.world;
const there = (volid: string, node = "") => world().volumes.has(`${node}/${volid}`);

function guest(vmid: number) {
  const found = world().guests.get(vmid);
  if (!found) throw new Error(`no guest ${vmid}`);
  return found;
}

async function remove(volume: string, args: Record<string, unknown> = {}) {
  const mark = server.simulator.log.mark();
  const answer = await server.call("delete_storage_content", { volume, confirm: volume, ...args });
  const sent = server.simulator.log.since(mark).filter(({ method }) => method !== "GET");
  return { ...answer, sent };
}

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
