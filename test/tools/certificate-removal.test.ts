import { beforeAll, describe, expect, test } from "vitest";
import { type Certificate, certificate } from "../certificate.ts";
import { type Lab, lab } from "../kit.ts";

let leaf: Certificate;
let server: Lab;

beforeAll(async () => {
  leaf = await certificate("pve2.lab.example");
});

async function start() {
  server = await lab();
}

const upload = () => ({ node: "pve2", certificate: leaf.cert, key: leaf.key });
const filesOf = (node: string) => {
  const found = server.simulator.world.nodes.get(node)?.certificates;
  if (!found) throw new Error(`no node ${node}`);
  return found;
};
const sent = (mark: number) =>
  server.simulator.log.paths(mark).filter((line) => !line.startsWith("GET"));

describe("delete_certificate", () => {
  test("takes the custom one away; where there is none nothing is sent", async () => {
    await start();
    const never = await server.call("delete_certificate", { node: "pve2" });
    expect(never.data).toMatchObject({ changed: false, certificate: { use: "own", served: true } });
    expect(sent(0)).toEqual([]);
    expect(filesOf("pve2").restarts).toBe(0);
    await server.call("create_certificate", upload());
    const plan = await server.call("delete_certificate", { node: "pve2", dry_run: true });
    expect(plan.data).toMatchObject({ changed: false, plan: { requests: [{ method: "DELETE" }] } });
    const answer = await server.call("delete_certificate", { node: "pve2" });
    expect(answer.data).toMatchObject({ changed: true, certificate: { use: "own" } });
    expect(filesOf("pve2")).toMatchObject({ custom: undefined, restarts: 2 });
    const mark = server.simulator.log.mark();
    const again = await server.call("delete_certificate", { node: "pve2" });
    expect(again.data).toMatchObject({ changed: false });
    expect(sent(mark)).toEqual([]);
  });

  test("takes a file that nobody can read and no list shows away by force only", async () => {
    await start();
    filesOf("pve2").custom = { cert: "garbage", key: "garbage" };
    const unforced = await server.call("delete_certificate", { node: "pve2" });
    expect(unforced.data).toMatchObject({ changed: false, certificate: { use: "own" } });
    expect(unforced.text).toMatch(/nothing was sent.*a file that cannot be read.*force: true/s);
    const forced = { node: "pve2", force: true };
    const plan = await server.call("delete_certificate", { ...forced, dry_run: true });
    expect(plan.data).toMatchObject({ changed: false, plan: { requests: [{ method: "DELETE" }] } });
    expect(server.simulator.log.changes()).toEqual([]);
    const answer = await server.call("delete_certificate", forced);
    expect(answer.data, answer.text).toMatchObject({ changed: true, certificate: { use: "own" } });
    expect(answer.text).toContain("goes as well");
    expect(filesOf("pve2").custom).toBeUndefined();
  });

  test("is sent again where the one that is gone is still shown", async () => {
    await start();
    await server.call("create_certificate", upload());
    const without = { node: "pve2", restart: false };
    expect((await server.call("delete_certificate", without)).data).toMatchObject({
      changed: true,
      certificate: { served: false },
    });
    expect((await server.call("delete_certificate", without)).data["changed"]).toBe(false);
    const restarted = await server.call("delete_certificate", { node: "pve2" });
    expect(restarted.data).toMatchObject({ changed: true, certificate: { served: true } });
    expect(filesOf("pve2").restarts).toBe(2);
  });

  test("is not sent again, however late, where this server has done it: the way on is told", async () => {
    await start();
    await server.call("create_certificate", upload());
    await server.call("delete_certificate", { node: "pve2" });
    const mark = server.simulator.log.mark();
    await server.clock.advance(120_000);
    const { data, text } = await server.call("delete_certificate", { node: "pve2" });
    expect(data).toMatchObject({ changed: false, certificate: { use: "own" } });
    expect(text).toContain("would go with force: true");
    expect(sent(mark)).toEqual([]);
    expect(filesOf("pve2").restarts).toBe(2);
    filesOf("pve2").custom = { cert: "garbage", key: "garbage" };
    await server.call("create_certificate", { ...upload(), force: true });
    await server.call("delete_certificate", { node: "pve2" });
    expect(filesOf("pve2").custom).toBeUndefined();
  });
});
