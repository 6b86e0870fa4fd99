import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { certificate } from "../certificate.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

const day = 86_400_000;
let server: Lab;

beforeEach(() => start());

/** An account, a DNS plugin, and two domains of pve2. */
async function start(options: LabOptions = {}) {
  server = await lab(options);
  server.simulator.world.acme = {
    accounts: new Set(["default"]),
    plugins: new Map([["cloud", "dns"]]),
    issues: new Map(),
    invalid: new Set(),
    revoked: [],
  };
  node("pve2").config = {
    acmedomain0: "domain=pve2.example.org,plugin=cloud",
    acme: "account=default,domains=other.example.org",
  };
}

function node(name: string) {
  const found = server.simulator.world.nodes.get(name);
  if (!found) throw new Error(`no node ${name}`);
  return found;
}

function acme() {
  const found = server.simulator.world.acme;
  if (!found) throw new Error("no ACME");
  return found;
}

async function call(name: string, args: Record<string, unknown> = {}) {
  const mark = server.simulator.log.mark();
  const answer = await server.call(name, { node: "pve2", ...args });
  const sent = server.simulator.log.changes(mark).map(({ method, path, body }) => ({
    line: `${method} ${path}`,
    body,
  }));
  return { ...answer, sent };
}

const order = (args: Record<string, unknown> = {}) =>
  call("create_certificate", { acme: true, wait_s: 300, ...args });
const path = "/nodes/pve2/certificates/acme/certificate";

async function refused(args: Record<string, unknown> = {}) {
  const { sent, ...answer } = await order(args);
  expect(sent).toEqual([]);
  return answer;
}

describe("create_certificate by ACME", () => {
  test("orders one for the domains of the node, which then shows it", async () => {
    const { data, text, sent } = await order();
    expect(sent).toEqual([{ line: `POST ${path}`, body: {} }]);
    expect(data, text).toMatchObject({
      node: "pve2",
      changed: true,
      certificate: {
        use: "custom",
        served: true,
        names: ["other.example.org", "pve2.example.org"],
      },
      task: { state: "ok" },
    });
    expect(node("pve2").certificates).toMatchObject({ restarts: 1 });
    expect(text).toContain("Node pve2 has a new certificate.");
    expect(text).toContain("/CN=other.example.org");
    const list = await server.call("list_certificates", { node: "pve2" });
    expect(list.text).toContain("other.example.org");
  });

  test("tells how far the order is", async () => {
    const told: string[] = [];
    await server.call(
      "create_certificate",
      { node: "pve2", acme: true, wait_s: 300 },
      { onProgress: ({ message = "" }) => told.push(message) },
    );
    expect(told.join("\n")).toContain("Sleeping for 5 seconds");
  });

  test("may be left to itself, with the task to follow", async () => {
    const { data, text } = await order({ wait_s: 0 });
    expect(data).toMatchObject({ changed: true, task: { state: "running" } });
    expect(data).not.toHaveProperty("certificate");
    expect(text).toContain(`get_tasks {upid: "${data["upid"]}", wait_s: 60}`);
    await server.clock.advance(120_000);
    expect(node("pve2").certificates.custom).toBeDefined();
  });

  test("sends nothing where the certificate is good for longer, and renews it by force", async () => {
    await order();
    const again = await order();
    expect(again.data).toMatchObject({ changed: false, certificate: { use: "custom" } });
    expect(again.sent).toEqual([]);
    const old = node("pve2").certificates.custom?.info?.fingerprint;
    const forced = await order({ force: true });
    expect(forced.sent).toEqual([{ line: `PUT ${path}`, body: { force: "1" } }]);
    expect(forced.data["changed"]).toBe(true);
    expect(acme().revoked).toEqual([old]);
  });

  test("renews without being forced when less than 30 days are left", async () => {
    await order();
    await server.clock.advance(65 * day);
    const { data, text, sent } = await order();
    expect(sent, text).toEqual([{ line: `PUT ${path}`, body: {} }]);
    expect(data["changed"]).toBe(true);
  });

  test("does not replace one for other names unless forced", async () => {
    const other = await certificate("pve2.lab.example");
    await call("create_certificate", { certificate: other.cert, key: other.key });
    const answer = await refused();
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toMatch(/pve2\.lab\.example.*force: true/s);
    const { sent } = await order({ force: true });
    expect(sent).toEqual([{ line: `POST ${path}`, body: { force: "1" } }]);
  });

  test("names what is missing, with the command and the place", async () => {
    const cases: readonly (readonly [() => void, RegExp])[] = [
      [
        () => acme().accounts.clear(),
        /no ACME account "default".*pvenode acme account register default/s,
      ],
      [() => acme().accounts.add("default"), /^/],
      [
        () => acme().plugins.clear(),
        /plugin "cloud", which is not there.*pvenode acme plugin add dns cloud/s,
      ],
      [
        () => Object.assign(node("pve2"), { config: {} }),
        /No ACME domain.*pvenode config set --acmedomain0/s,
      ],
      [
        () => Object.assign(node("pve2"), { config: { acme: "account=work" } }),
        /no ACME account "work"\. There are: default/,
      ],
    ];
    for (const [break_, words] of cases) {
      break_();
      if (words.source === "^") continue;
      const { kind, text } = await refused();
      expect(kind).toBe("conflict");
      expect(text).toMatch(words);
      expect(text).toContain("web interface");
    }
    const plan = await refused({ dry_run: true });
    expect(plan.text.match(/Against it: conflict/g)).toHaveLength(2);
  });

  test("only says what it would do when asked to", async () => {
    const { data, text } = await refused({ dry_run: true });
    expect(data["plan"]).toMatchObject({ requests: [{ method: "POST", path, params: {} }] });
    expect(text).toContain("orders a certificate for other.example.org, pve2.example.org by ACME");
  });

  test("without domains says so in the plan, and what speaks against it", async () => {
    node("pve2").config = {};
    const { data, text } = await refused({ dry_run: true });
    expect(text).toContain(
      "orders a certificate for the domains of pve2, of which none is configured, by ACME",
    );
    expect(text).toMatch(/^Against it: conflict: No ACME domain/m);
    const { against } = data["plan"] as { against: { kind: string; message: string }[] };
    expect(against.map(({ kind }) => kind)).toEqual(["conflict"]);
  });

  test("fails with the authority's words, and leaves the old one shown", async () => {
    acme().invalid.add("pve2.example.org");
    const { kind, text } = await order();
    expect(kind).toBe("task_failed");
    expect(text).toContain("status: invalid");
    expect(node("pve2").certificates.custom).toBeUndefined();
  });

  test("takes no certificate, no key and no restart of its own", async () => {
    for (const args of [{ certificate: "x" }, { key: "x" }, { restart: false }]) {
      const { kind, facts } = await refused(args);
      expect({ kind, facts }).toEqual({
        kind: "invalid_input",
        facts: { argument: Object.keys(args)[0] },
      });
    }
  });

  test("says which file is in the way that no list shows", async () => {
    node("pve2").certificates.custom = { cert: "broken", key: "broken" };
    const { kind, text } = await order();
    expect(kind).toBe("conflict");
    expect(text).toContain("force: true");
  });

  test.each([
    ["settings", { "/nodes": "PVEAdmin" }, "/", "Sys.Audit"],
    ["the order", { "/": "PVEAuditor" }, "/nodes/pve2", "Sys.Modify"],
  ])("names the privilege that %s need", async (_, roles, at, privilege) => {
    const token = { tokenId: "op@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    await start({ token, settleMs: 0 });
    addToken(server.simulator.world, { id: token.tokenId, secret: token.secret, roles });
    await server.clock.advance(15_000);
    const answer = await order();
    expect(answer).toMatchObject({
      kind: "forbidden",
      facts: { path: at, privileges: [privilege] },
    });
    expect(answer.text).toContain(`pveum acl modify ${at} --tokens 'op@pve!agent'`);
  });

  test("does not order twice at the same time", async () => {
    const { data } = await order({ wait_s: 0 });
    const answer = await refused();
    expect(answer).toMatchObject({ kind: "busy", facts: { upid: data["upid"] } });
  });

  test("an order whose answer was lost is not sent twice", async () => {
    server.simulator.faults.cutAfterWorld({ method: "POST", times: 1 });
    const { kind, sent } = await order();
    expect(kind).toBe("outcome_unknown");
    expect(sent).toHaveLength(1);
  });
});

describe("delete_certificate of one by ACME", () => {
  test("only takes it off the node, or has it revoked as well", async () => {
    await order();
    const off = await call("delete_certificate");
    expect(off.sent.map(({ line }) => line)).toEqual(["DELETE /nodes/pve2/certificates/custom"]);
    expect(acme().revoked).toEqual([]);
    await order();
    const fingerprint = node("pve2").certificates.custom?.info?.fingerprint;
    const { data, text, sent } = await call("delete_certificate", { revoke: true });
    expect(sent.map(({ line }) => line)).toEqual([`DELETE ${path}`]);
    expect(data, text).toMatchObject({
      changed: true,
      certificate: { use: "own" },
      task: { state: "ok" },
    });
    expect(acme().revoked).toEqual([fingerprint]);
    expect(node("pve2").certificates.custom).toBeUndefined();
    expect((await call("delete_certificate", { revoke: true })).data["changed"]).toBe(false);
  });

  test("only says what it would do when asked to, and refuses who may not", async () => {
    await order();
    const plan = await call("delete_certificate", { revoke: true, dry_run: true });
    expect(plan.sent).toEqual([]);
    expect(plan.data["plan"]).toMatchObject({ requests: [{ method: "DELETE", path }] });
    const { world } = server.simulator;
    const weak = await lab({ world, token: auditorToken });
    expect((await weak.call("delete_certificate", { node: "pve2", revoke: true })).kind).toBe(
      "forbidden",
    );
  });
});
