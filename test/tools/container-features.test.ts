import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const volid = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
const nginx = "docker.io/library/nginx:latest";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

const create = (args: Record<string, unknown>) =>
  server.call("create_container", {
    name: "new-1",
    template: volid,
    rootfs: "local-lvm:4",
    ...args,
  });

test.each([
  ["a bare name", { features: ["nesting"] }, "nesting=1"],
  ["one name twice", { features: ["nesting=1, nesting"] }, "nesting=1"],
  ["nesting off", { features: ["nesting=0"] }, "nesting=0"],
  ["some among the options", { features: ["fuse"], options: { features: "nesting" } }, "nesting=1"],
])("a container with %s", async (_, args, kept) => {
  const { data, text } = await create(args);
  expect(text).toContain("is created");
  const guest = server.simulator.world.guests.get(Number(data["vmid"]));
  expect(guest?.config["features"]).toBe(kept);
});

test("dry_run shows bare names as they would be sent, and who may set them", async () => {
  const { data, text } = await create({ features: ["keyctl", "mount=nfs;cifs"], dry_run: true });
  expect(text).toContain('"features":"nesting=1,keyctl=1,mount=nfs;cifs"');
  expect(data["plan"]).toMatchObject({ against: [{ kind: "forbidden" }] });
});

test.each([
  ["an unknown one", { features: ["nested"] }, /^invalid_input.*"nested".*nesting, keyctl/s],
  ["one without its value", { features: ["mount"] }, /^invalid_input.*mount=nfs/s],
  [
    "one of root's, before the template is fetched",
    { template: nginx, features: ["keyctl=1"] },
    /^forbidden.*features keyctl=1 can be set by root@pam/s,
  ],
  ["one of root's among the options", { options: { features: "fuse" } }, /^forbidden/],
])("refused, and nothing sent: %s", async (_, args, text) => {
  const answer = await create(args);
  expect(`${answer.kind}: ${answer.text}`).toMatch(text);
  expect(server.simulator.log.changes()).toEqual([]);
});
