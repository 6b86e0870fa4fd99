import { describe, expect, test } from "vitest";
import type { RequestEvent } from "../../src/http/client.ts";
import { path } from "../../src/http/path.ts";
import { WireFault } from "../../src/http/transport.ts";
import {
  answers,
  client,
  cuts,
  hangs,
  refuses,
  ScriptedHost,
  type Step,
  says,
  secret,
} from "./fake.ts";

const version = { method: "GET", path: path`/version` } as const;
const start = { method: "POST", path: path`/nodes/${"pve1"}/qemu/${101}/status/start` } as const;

describe("a request", () => {
  test("is made of path, parameters and credentials as PVE reads them", async () => {
    const host = new ScriptedHost(answers(null));
    const { ask } = client([host]);
    const params = { a: true, b: false, n: 7, t: "x=1;y&z", skip: undefined, list: ["1", "2"] };
    await ask({ ...version, params });
    await ask({ ...start, params });
    await ask({ method: "DELETE", path: path`/pools/${"p"}`, params: { purge: true } });
    await ask({ method: "PUT", path: path`/pools/${"p"}` });
    const form = "a=1&b=0&n=7&t=x%3D1%3By%26z&list=1&list=2";
    expect(host.seen.map(({ method, path: target, body }) => [method, target, body])).toEqual([
      ["GET", `/api2/json/version?${form}`, undefined],
      ["POST", "/api2/json/nodes/pve1/qemu/101/status/start", form],
      ["DELETE", "/api2/json/pools/p?purge=1", undefined],
      ["PUT", "/api2/json/pools/p", ""],
    ]);
    expect(host.seen[1]?.headers).toMatchObject({
      authorization: `PVEAPIToken=agent@pve!mcp=${secret}`,
      "content-type": "application/x-www-form-urlencoded",
      "user-agent": expect.stringMatching(/^mcp-server-proxmox\/\d/),
    });
  });

  test("is answered with data, total, the host's date and the size", async () => {
    const stamp = "Thu, 01 Jan 2026 00:00:09 GMT";
    const body = JSON.stringify({ data: [1], total: 9 });
    const host = new ScriptedHost(says(200, "OK", { body, headers: { date: stamp } }));
    expect(await client([host]).ask(version)).toEqual({
      data: [1],
      total: 9,
      date: Date.parse(stamp),
      bytes: body.length,
    });
  });

  test("is refused where only the body says so, as in answers for the web interface", async () => {
    const message = "Configuration file 'nodes/pve1/qemu-server/9999.conf' does not exist\n";
    const body = JSON.stringify({ success: 0, status: 500, data: null, message });
    const host = new ScriptedHost(says(200, "OK", { body }));
    const asked = client([host]).ask({ method: "GET", path: path`/nodes/pve1/qemu/9999/config` });
    await expect(asked).rejects.toMatchObject({ kind: "not_found", facts: { vmid: 9999 } });
  });

  test("reports every attempt by its template, and counts what left", async () => {
    const host = new ScriptedHost(refuses, cuts, answers(1));
    const events: RequestEvent[] = [];
    const { api, ask } = client([host], { onRequest: (event) => events.push(event) });
    let sent = 0;
    await ask({
      method: "GET",
      path: path`/nodes/${"pve1"}/lxc/${7}/config`,
      onSend: () => sent++,
    });
    expect(events.map(({ template, status, attempt }) => [template, status, attempt])).toEqual([
      ["/nodes/{node}/lxc/{vmid}/config", undefined, 1],
      ["/nodes/{node}/lxc/{vmid}/config", undefined, 2],
      ["/nodes/{node}/lxc/{vmid}/config", 200, 3],
    ]);
    expect(sent).toBe(2);
    expect(api.lastLatencyMs).toBe(0);
  });
});

describe("a read", () => {
  test("that is cut twice succeeds at the third try", async () => {
    const host = new ScriptedHost(cuts, cuts, answers("yes"));
    expect((await client([host]).ask(version)).data).toBe("yes");
    expect(host.seen).toHaveLength(3);
  });

  test.each([
    ["an empty body", ""],
    ["HTML", "<html>login</html>"],
    ["JSON that was cut", '{"data":['],
    ["JSON without data", '{"ok":1}'],
    ["a list", "[]"],
  ])("that gets %s is no success, however often it is tried", async (_, body) => {
    const host = new ScriptedHost(says(200, "OK", { body }));
    const problem = await client([host]).fails(version);
    expect(problem.kind).toBe("upstream");
    expect(host.seen).toHaveLength(5);
  });

  test("waits as long as Retry-After asks", async () => {
    const host = new ScriptedHost(
      says(429, "Slow", { headers: { "retry-after": "20" } }),
      answers(1),
    );
    const { ask, clock } = client([host]);
    const before = clock.now();
    await ask(version);
    expect(clock.now() - before).toBe(20_000);
  });

  test("of a node known to be offline is not repeated after 595", async () => {
    const read = { method: "GET", path: path`/nodes/${"pve9"}/status` } as const;
    const known = new ScriptedHost(says(595, "No route to host"));
    const problem = await client([known], { isOffline: () => true }).fails(read);
    expect(problem).toMatchObject({ kind: "unreachable", facts: { node: "pve9", status: 595 } });
    expect(known.seen).toHaveLength(1);
    const unknown = new ScriptedHost(says(595, "No route to host"), answers(1));
    expect((await client([unknown]).ask(read)).data).toBe(1);
  });

  test("that is not answered in time is a timeout", async () => {
    const problem = await client([new ScriptedHost(hangs)]).fails({
      ...version,
      deadlineMs: 5_000,
    });
    expect(problem.kind).toBe("timeout");
    expect(problem.message).toContain("within 5 s");
    expect(problem.message).not.toContain("Nothing was sent");
  });

  test("is not repeated after 401", async () => {
    const host = new ScriptedHost(says(401, "Authentication failed!"));
    expect((await client([host]).fails(version)).kind).toBe("unauthorized");
    expect(host.seen).toHaveLength(1);
  });
});

describe("a change", () => {
  test("whose connection broke after it had left is sent once, and its outcome unknown", async () => {
    const host = new ScriptedHost(cuts);
    const problem = await client([host]).fails(start);
    expect(problem).toMatchObject({ kind: "outcome_unknown", retryable: false });
    expect(problem.next).toMatch(/get_tasks.*get_vm/);
    expect(host.seen).toHaveLength(1);
  });

  test("that did not leave is tried again", async () => {
    const host = new ScriptedHost(refuses, refuses, answers("UPID"));
    expect((await client([host]).ask(start)).data).toBe("UPID");
  });

  test.each([[596], [597], [599], [502], [504]])(
    "that got a %i may have been done",
    async (status) => {
      const host = new ScriptedHost(says(status, "Broken pipe"));
      expect((await client([host]).fails(start)).kind).toBe("outcome_unknown");
      expect(host.seen).toHaveLength(1);
    },
  );

  test("with an unreadable success is no success and no failure", async () => {
    const problem = await client([new ScriptedHost(says(200, "OK"))]).fails(start);
    expect(problem.kind).toBe("outcome_unknown");
  });

  test("that could not reach its node was not carried out", async () => {
    const problem = await client([new ScriptedHost(says(595, "No route to host"))]).fails(start);
    expect(problem.kind).toBe("unreachable");
    expect(problem.message).toContain("not carried out");
  });

  test("that left and is late has an unknown outcome", async () => {
    const late = await client([new ScriptedHost(hangs)]).fails({ ...start, deadlineMs: 1_000 });
    expect(late.kind).toBe("outcome_unknown");
  });

  test("that left is not given up with its caller: only its time may run out", async () => {
    const giveUp = new AbortController();
    const { fails } = client([new ScriptedHost(hangs)]);
    const cancelled = fails({ ...start, deadlineMs: 1_000, signal: giveUp.signal });
    setImmediate(() => giveUp.abort(new Error("enough")));
    const problem = await cancelled;
    expect(problem.kind).toBe("outcome_unknown");
    expect(problem.message).toContain("no answer came within 1 s");
  });

  test("that never left when its time was over says so", async () => {
    const { fails } = client([new ScriptedHost(refuses)]);
    const problem = await fails({ ...start, deadlineMs: 600 });
    expect(problem.message).toMatch(/nothing was sent/i);
    expect(["timeout", "unreachable"]).toContain(problem.kind);
  });
});

describe("waiting for a place", () => {
  test("can be cancelled: of fifty none is sent, and the next gets its turn", async () => {
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const gated: Step = async (request) => gate.then(() => answers("first")(request));
    const host = new ScriptedHost(gated, gated, gated, gated, answers("next"));
    const { api } = client([host]);
    const first = Array.from({ length: 4 }, () => api.request(start));
    const giveUp = new AbortController();
    const fifty = Array.from({ length: 50 }, () =>
      api.request({ ...start, signal: giveUp.signal }).catch((error: unknown) => error),
    );
    const next = api.request(start);
    await new Promise((resolve) => setImmediate(resolve));
    giveUp.abort(new Error("enough"));
    expect(await Promise.all(fifty)).toEqual(
      fifty.map(() => expect.objectContaining({ kind: "cancelled" })),
    );
    expect(host.seen).toHaveLength(4);
    open();
    expect((await next).data).toBe("next");
    expect(await Promise.all(first)).toHaveLength(4);
    expect(host.seen).toHaveLength(5);
  });

  test("counts towards the deadline, and what was never sent says so", async () => {
    const host = new ScriptedHost(hangs);
    const { api, clock } = client([host]);
    const stuck = Array.from({ length: 4 }, () => api.request(start).catch(() => undefined));
    const late = clock.run(api.request({ ...start, deadlineMs: 2_000 }).catch((error) => error));
    expect(await late).toMatchObject({
      kind: "timeout",
      message: expect.stringContaining("Nothing was sent."),
    });
    expect(host.seen).toHaveLength(4);
    await clock.run(Promise.all(stuck));
  });

  test("is no matter of a pause before a retry, which holds no place", async () => {
    const slow = says(429, "Slow", { headers: { "retry-after": "30" } });
    const host = new ScriptedHost(slow, slow, slow, slow, answers("quick"));
    const { api, clock } = client([host]);
    const read = { method: "GET", path: path`/nodes/${"pve1"}/status` } as const;
    const pausing = Array.from({ length: 4 }, () => api.request(read));
    await clock.advance(0);
    expect((await api.request(read)).data).toBe("quick");
    await clock.run(Promise.all(pausing));
  });
});

test("a cancelled request is not sent", async () => {
  const host = new ScriptedHost(answers(1));
  const signal = AbortSignal.abort(new Error("early"));
  expect((await client([host]).fails({ ...version, signal })).kind).toBe("cancelled");
  expect(host.seen).toHaveLength(0);
});

test("a redirect is not followed", async () => {
  const headers = { location: "https://elsewhere/" };
  const host = new ScriptedHost(says(301, "Moved Permanently", { headers }));
  expect((await client([host]).fails(start)).kind).toBe("upstream");
  expect(host.seen).toHaveLength(1);
});

test("no message holds the secret, even when somebody echoes it", async () => {
  const echo = `bad header PVEAPIToken=agent@pve!mcp=${secret}`;
  const hosts = [
    ...[400, 401, 403, 429, 500, 501, 502, 595, 596].map((status) => says(status, echo)),
    says(400, "x", { body: JSON.stringify({ data: null, errors: { a: echo } }) }),
    () => {
      throw new WireFault("X", echo, { sent: false });
    },
  ].map((step) => new ScriptedHost(step));
  for (const host of hosts) {
    for (const request of [version, start]) {
      const { message, next, facts } = await client([host]).fails(request);
      expect(JSON.stringify({ message, next, facts })).not.toContain(secret);
    }
  }
});
