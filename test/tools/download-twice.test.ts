import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const url = "https://mirror.example/images/tiny.iso";
const iso = { url, content: "iso", wait_s: 0 };

let server: Lab;

beforeEach(async () => {
  server = await lab();
  server.simulator.world.web.set(url, { sizeBytes: 100 * 1024 ** 2, bytes: "a disc" });
  server.simulator.world.storages.get("nfs-shared")?.content.push("vztmpl");
  await server.call("list_guests");
  await server.clock.advance(10_000);
});

/** What two equal orders come to, one through each node. */
async function both(order: Record<string, unknown>, [one, other]: readonly [string, string]) {
  const mark = server.simulator.log.mark();
  const begin = (node: string) => server.begin("download_storage", { ...order, node });
  const answers = await server.clock.run(Promise.all([begin(one), begin(other)]));
  const later = await server.call("download_storage", { ...order, node: other });
  const outcomes = [...answers, later].map(({ kind, data }) => kind || data["status"]);
  return { outcomes, sent: server.simulator.log.changes(mark).map(({ path }) => path) };
}

test.each([
  ["of an address", iso, "download-url"],
  [
    "of an image in a registry",
    { url: "docker.io/library/nginx:latest", content: "vztmpl", wait_s: 0 },
    "oci-registry-pull",
  ],
])(
  "a file %s is fetched once to a shared storage, whichever node is named",
  async (_, order, by) => {
    const shared = { ...order, storage: "nfs-shared" };
    const { outcomes, sent } = await both(shared, ["pve1", "pve2"]);
    expect(outcomes).toEqual(["downloading", "conflict", "conflict"]);
    expect(sent).toEqual([`/nodes/pve1/storage/nfs-shared/${by}`]);
  },
);

test("local storages of two nodes each fetch their own", async () => {
  const { outcomes, sent } = await both({ ...iso, storage: "local" }, ["pve1", "pve2"]);
  expect(outcomes).toEqual(["downloading", "downloading", "conflict"]);
  expect(sent).toHaveLength(2);
});
