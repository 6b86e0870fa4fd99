import { createHash } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const url = "https://mirror.example/images/tiny.iso";
const bytes = "what is on the disc";
const order = { storage: "nfs-shared", url, content: "iso" };
let server: Lab;

beforeEach(async () => {
  server = await lab();
  server.simulator.world.web.set(url, { sizeBytes: 100 * 1024 ** 2, bytes });
  await server.call("list_guests");
});

test("a wrong sha256 is a failure with the task's message, and nothing is left", async () => {
  const checksum = "0".repeat(64);
  const { kind, text } = await server.call("download_storage", { ...order, checksum });
  const got = createHash("sha256").update(bytes).digest("hex");
  expect(kind).toBe("task_failed");
  expect(text).toContain(`checksum mismatch: got '${got}' != expect '${checksum}'`);
  expect(server.simulator.world.volumes.has("/nfs-shared:iso/tiny.iso")).toBe(false);
});

test("certificates are verified: nothing is said of them, which is what Proxmox does by default", async () => {
  await server.call("download_storage", order);
  const [sent] = server.simulator.log.changes();
  expect(sent?.body).toEqual({ url, content: "iso", filename: "tiny.iso" });
});

test("it costs one change besides its looks, and the contents of no other storage", async () => {
  const other = { storage: "local", max_age_s: 60 };
  await server.call("list_storage", { storage: "nfs-shared", content: "iso" });
  await server.call("list_storage", other);
  const mark = server.simulator.log.mark();
  expect((await server.call("download_storage", order)).data["changed"]).toBe(true);
  const changes = server.simulator.log.changes(mark);
  expect(changes.map(({ path }) => path)).toEqual(["/nodes/pve1/storage/nfs-shared/download-url"]);
  const reads = server.simulator.log
    .since(mark)
    .filter(({ method, path }) => method === "GET" && !path.includes("/tasks/"));
  expect(reads.map(({ path }) => path)).toEqual([
    "/nodes/pve1/storage/nfs-shared/status",
    "/nodes/pve1/storage/nfs-shared/content",
  ]);
  expect(await server.cost("list_storage", other)).toBe(0);
  expect(await server.cost("list_storage", { storage: "nfs-shared" })).toBe(1);
});
