import { tmpdir } from "node:os";
import { beforeAll, describe, expect, test } from "vitest";
import { filesBelow } from "../../src/files.ts";
import { createLog } from "../../src/log.ts";
import { type Certificate, certificate } from "../certificate.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

let leaf: Certificate;
let other: Certificate;
let server: Lab;

beforeAll(async () => {
  leaf = await certificate("pve2");
  other = await certificate("other");
});

async function start(options: LabOptions = {}) {
  server = await lab(options);
}

describe("the key", () => {
  /** Any 24 characters of the key's body in a row. */
  function traces(text: string, { key }: Certificate): readonly string[] {
    const body = key.replace(/-----[^-]*-----|\s/g, "");
    const flat = text.replace(/\\[rn]|\s/g, "");
    return Array.from({ length: body.length - 24 }, (_, at) => body.slice(at, at + 24)).filter(
      (piece) => flat.includes(piece) || flat.includes(encodeURIComponent(piece)),
    );
  }

  test("would be found where it is", () => {
    const lines = leaf.key.trim().split("\n");
    expect(traces(`got '${leaf.key}'`, leaf)).not.toEqual([]);
    expect(traces(JSON.stringify(leaf.key), leaf)).not.toEqual([]);
    expect(traces(`… ${lines[1]?.slice(10, 40)} …`, leaf)).not.toEqual([]);
    expect(traces("nothing of it", leaf)).toEqual([]);
  });

  test("appears in no answer, error or log line, however Proxmox echoes it", async () => {
    await start();
    const { faults } = server.simulator;
    const seen: unknown[] = [];
    const call = async (args: Record<string, unknown> = {}) => {
      const whole = { node: "pve2", certificate: leaf.cert, key: leaf.key, ...args };
      seen.push(await server.call("create_certificate", whole));
    };
    await call({ dry_run: true });
    await call({ key: leaf.key.replace("MI", "MA") });
    await call({ certificate: other.cert });
    await call({ certificate: leaf.key, key: leaf.cert });
    await call({ key: leaf.key.repeat(400) });
    await call({ key: [leaf.key] });
    await call({ node: "no such node", key: leaf.key });
    await call({ kex: leaf.key });
    const body = (text: string) => ({
      status: 500,
      reason: text.split("\n")[0] ?? "",
      body: JSON.stringify({ data: null, message: text, errors: { key: text } }),
    });
    const post = { method: "POST", times: 1 } as const;
    const lines = leaf.key.split("\n").slice(1, 3);
    for (const echo of [
      `type check ('string') failed - got '${leaf.key}'`,
      `cannot parse ${leaf.key.replaceAll("\n", " ")}`,
      `near "${lines.join("\\n")}"`,
      `bad ${encodeURIComponent(leaf.key)}`,
    ]) {
      faults.reply(body(echo), post);
      await call();
      faults.reply({ ...body(echo), status: 400 }, post);
      await call();
      faults.reply({ status: 403, reason: echo.replaceAll("\n", " ") }, post);
      await call();
      faults.reply({ status: 596, reason: echo.replaceAll("\n", " ") }, post);
      await call();
    }
    faults.cutAfterWorld(post);
    await call();
    await call({ force: true });
    expect(traces(JSON.stringify(seen), leaf)).toEqual([]);
    expect(traces(server.logged.join("\n"), leaf)).toEqual([]);
  });

  test("is not repeated where it landed in another argument, and the next step is told", async () => {
    await start({ files: filesBelow(tmpdir()) });
    const body = leaf.key.replace(/-----[^-]*-----|\s/g, "");
    const lines = leaf.key.trim().split("\n").slice(1, -1);
    const whole = { certificate: leaf.cert, key: leaf.key, node: "pve2" };
    for (const stray of [
      leaf.key,
      body,
      body.slice(0, 60),
      ...lines,
      lines.join(" "),
      `k/${body}`,
    ]) {
      for (const [argument, next] of [
        ["key_file", "relative to it, not what is in it"],
        ["certificate_file", "relative to it, not what is in it"],
        ["node", /Nodes: .*pve1|Repeat the call with that put right/],
        ["acme", "Repeat the call with that put right"],
        [stray, "Repeat the call with these arguments only"],
      ] as const) {
        const { key, certificate: pem, ...rest } = whole;
        const base = {
          key_file: { ...rest, certificate: pem },
          certificate_file: { ...rest, key },
        };
        const args = { ...(base[argument as keyof typeof base] ?? whole), [argument]: stray };
        const answer = await server.call("create_certificate", args);
        expect(answer.isError).toBe(true);
        const said = JSON.stringify([answer, server.logged]);
        expect(traces(said, leaf), `${argument}: ${said}`).toEqual([]);
        expect(answer.text).toMatch(next);
      }
    }
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("that was cut off takes no more with it than itself", () => {
    const written: string[] = [];
    const log = createLog({ write: (line) => written.push(line), secrets: [], level: "info" });
    const half = leaf.key.slice(0, 120);
    log.info("x", { text: `got "${half}". Give another.`, both: `${leaf.key.trim()} and ${half}` });
    expect(traces(written.join(""), leaf)).toEqual([]);
    expect(JSON.parse(written[0] ?? "")).toMatchObject({
      text: 'got "***". Give another.',
      both: "*** and ***",
    });
  });

  test("is masked in a log line even where it is no known secret", () => {
    const written: string[] = [];
    const log = createLog({ write: (line) => written.push(line), secrets: [], level: "info" });
    log.error("bug", { error: new Error(`could not use ${leaf.key}!`), inner: [leaf.key] });
    expect(traces(written.join(""), leaf)).toEqual([]);
    expect(written[0]).toContain("could not use ***");
  });
});
