import { expect, test } from "vitest";
import type { Transport } from "../../src/http/transport.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { type Lab, lab } from "../kit.ts";
import { successor } from "../successor.ts";

const url =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const order = { name: "debian-13", url, storage: "local-lvm" };

/** A server whose wire can be cut for good, as if it had been killed; the cluster goes on. */
async function mortal() {
  const life = { ended: false };
  const wire = (simulator: Simulator): Transport => ({
    send: (request) => (life.ended ? new Promise(() => undefined) : simulator.send(request)),
    close: () => simulator.close(),
  });
  const server = await lab({ wire });
  await server.call("list_guests");
  return { server, kill: () => Object.assign(life, { ended: true }) };
}

const sent = ({ simulator }: Lab, path: RegExp) => simulator.log.filter({ method: "POST", path });
const templates = ({ simulator }: Lab) =>
  [...simulator.world.guests.values()].filter(({ config }) => config["name"] === "debian-13");

/** `file, VM create` */
function stateOf({ simulator: { world } }: Lab): string {
  const file = [...world.volumes.keys()].some((key) => key.includes(":import/"));
  const vm = world.guests.get(100);
  return `${file ? "" : "no "}file, ${vm ? `VM ${vm.config["lock"] ?? "ready"}` : "no VM"}`;
}

test.each([
  ["while it downloads", 700, [1, 0, 0], "no file, no VM"],
  ["after the download, before the VM", 4_200, [1, 0, 0], "file, no VM"],
  ["while the VM is being created", 7_000, [1, 1, 0], "file, VM create"],
  ["after the VM, before the conversion", 20_000, [1, 1, 0], "file, VM ready"],
])(
  "killed %s: the same call goes on, and nothing is done twice",
  async (_, afterMs, before, state) => {
    const { server, kill } = await mortal();
    const hold = afterMs === 20_000 ? /template$/ : /nothing/;
    server.simulator.faults.hang({ path: hold, times: 1 });
    const unanswered = server.begin("create_template", order).catch(String);
    await server.clock.advance(afterMs);
    const counts = (lab: Lab) =>
      [/download-url$/, /qemu$/, /template$/].map(
        (path) => sent(lab, path).filter(({ status }) => status === 200).length,
      );
    expect(counts(server)).toEqual(before);
    expect(stateOf(server)).toBe(state);
    kill();
    const next = await successor(server);
    const answer = await next.call("create_template", { ...order, wait_s: 600 });
    expect(answer.text).toMatch(/is a template|is there already/);
    expect(counts(server)).toEqual([1, 1, 1]);
    expect(templates(server)).toHaveLength(1);
    expect(templates(server)[0]?.config["template"]).toBe("1");
    expect(answer.data["vmid"]).toBe(templates(server)[0]?.vmid);
    await server.client.close();
    expect(await unanswered).toContain("Connection closed");
  },
);
