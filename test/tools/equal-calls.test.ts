import { expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";
import { successor } from "../successor.ts";

const url =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const order = { name: "debian-13", url, storage: "local-lvm" };
const image = {
  name: "app-ct",
  template: "docker.io/library/nginx:latest",
  rootfs: "local-lvm:8",
  node: "pve1",
};

const named = ({ simulator }: Lab, name: string) =>
  [...simulator.world.guests.values()].filter(
    ({ config }) => config["name"] === name || config["hostname"] === name,
  );

test.each([300, 700, 1_500, 3_000])(
  "create_template in two servers, %i ms apart: one template, told by both",
  async (apartMs) => {
    const server = await lab();
    await server.call("list_guests");
    const begun = server.begin("create_template", { ...order, wait_s: 0 });
    await server.clock.advance(apartMs);
    await begun;
    const second = await successor(server);
    const { data, text } = await second.call("create_template", { ...order, wait_s: 300 });
    expect(text).toMatch(/is a template|is there already/);
    await second.clock.advance(60_000);
    const made = named(server, "debian-13");
    expect(made.map(({ vmid }) => vmid)).toEqual([data["vmid"]]);
    expect(made[0]?.config["template"]).toBe("1");
    const first = await server.call("create_template", order);
    expect(first.data).toMatchObject({ vmid: data["vmid"], status: "stopped" });
  },
);

test.each([300, 1_500])(
  "create_container of an image in two servers, %i ms apart: one container",
  async (apartMs) => {
    const server = await lab();
    await server.call("list_guests");
    const begun = server.begin("create_container", { ...image, wait_s: 0 });
    await server.clock.advance(apartMs);
    await begun;
    const second = await successor(server);
    const answer = await second.call("create_container", { ...image, wait_s: 300 });
    await second.clock.advance(60_000);
    const [made, ...others] = named(server, "app-ct");
    expect(others).toEqual([]);
    // Either is the faster one, and the other says so.
    if (answer.kind === "") expect(answer.data["vmid"]).toBe(made?.vmid);
    else expect(answer).toMatchObject({ kind: "conflict" });
  },
);
