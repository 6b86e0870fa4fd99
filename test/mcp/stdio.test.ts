import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const fixture = fileURLToPath(new URL("./stdio-fixture.ts", import.meta.url));
const hello = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "test", version: "1" },
};
const request = (id: number, method: string, params: object) =>
  `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;

/** Spawns the fixture and shakes hands; `lines` are what it printed on stdout. */
async function start(...flags: string[]) {
  const child = spawn(process.execPath, ["--import", "tsx", fixture, ...flags]);
  const lines: string[] = [];
  const errors: string[] = [];
  child.stderr.on("data", (chunk) => errors.push(String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const first = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      resolve();
    });
  });
  child.stdin.write(request(1, "initialize", hello));
  await first;
  return { child, lines, ended, stderr: () => errors.join("") };
}

type End = (child: ChildProcessWithoutNullStreams) => unknown;

test.each<[string, End]>([
  ["stdin ends", (child) => child.stdin.end()],
  ["SIGTERM", (child) => child.kill("SIGTERM")],
  ["SIGINT", (child) => child.kill("SIGINT")],
  ["SIGHUP", (child) => child.kill("SIGHUP")],
])(
  "%s: it closes and ends with code 0, a call in flight or not",
  async (_, end) => {
    const { child, lines, ended, stderr } = await start();
    child.stdin.write(
      request(2, "tools/call", { name: "get_guest", arguments: { guest: "slow" } }),
    );
    child.stdin.write(request(3, "tools/call", { name: "get_guest", arguments: { guest: 7 } }));
    await expect.poll(() => lines.length).toBe(2);
    end(child);
    expect(await ended).toBe(0);
    expect(stderr()).toContain('"event":"closed"');
    expect(lines.map((line) => JSON.parse(line).id)).toEqual([1, 3]);
  },
  20_000,
);

test("a broken stdout ends it too", async () => {
  const { child, ended } = await start();
  child.stdout.destroy();
  child.stdin.write(request(2, "tools/list", {}));
  child.stdin.write(request(3, "tools/list", {}));
  expect(await ended).toBe(0);
}, 20_000);

test("an answer that is ready is not lost when stdin ends right after the question", async () => {
  const { child, lines, ended } = await start();
  child.stdin.end(request(2, "tools/list", {}));
  expect(await ended).toBe(0);
  expect(lines).toHaveLength(2);
}, 20_000);

test("what hangs while closing does not keep the process", async () => {
  const { child, ended } = await start("--never-closes");
  child.stdin.end();
  expect(await ended).toBe(0);
}, 20_000);

test("a line that is no message is survived, and what is printed does not reach stdout", async () => {
  const { child, lines, ended, stderr } = await start();
  child.stdin.write("no json\n{}\n");
  child.stdin.write(request(2, "ping", {}));
  await expect.poll(() => lines.length).toBe(2);
  child.stdin.end();
  await ended;
  expect(lines.map((line) => JSON.parse(line).id)).toEqual([1, 2]);
  expect(stderr()).toContain("stray words");
}, 20_000);

test("a message without end ends the server with an error and says so", async () => {
  const { child, ended, stderr } = await start();
  child.stdin.on("error", () => undefined); // the rest finds nobody
  const piece = "x".repeat(1024 * 1024);
  for (let megabytes = 0; megabytes < 12; megabytes++) child.stdin.write(piece);
  expect(await ended).toBe(1);
  expect(stderr()).toContain("too long");
}, 20_000);
