import { describe, expect, test } from "vitest";
import { path } from "../../src/http/path.ts";
import { WireFault } from "../../src/http/transport.ts";
import { answers, client, cuts, refuses, ScriptedHost } from "./fake.ts";

const version = { method: "GET", path: path`/version` } as const;
const start = { method: "POST", path: path`/nodes/${"pve1"}/qemu/${101}/status/start` } as const;

describe("several hosts", () => {
  test("of one cluster: the next one takes over where the first cannot be reached, and keeps it", async () => {
    const [down, up] = [new ScriptedHost(refuses), new ScriptedHost(answers(1))];
    const { api, ask } = client([down, up]);
    expect(api.host).toBe("host1");
    await ask(start);
    await ask(version);
    expect(api.host).toBe("host2");
    expect([down.seen.length, up.seen.length]).toEqual([1, 2]);
  });

  test("are not changed for what has left", async () => {
    const [one, two] = [new ScriptedHost(cuts, answers("one")), new ScriptedHost(answers("two"))];
    expect((await client([one, two]).ask(version)).data).toBe("one");
    expect(two.seen).toHaveLength(0);
  });

  test("are all named when none can be reached", async () => {
    const problem = await client([new ScriptedHost(refuses), new ScriptedHost(refuses)]).fails(
      version,
    );
    expect(problem.kind).toBe("unreachable");
    expect(problem.message).toContain("host1, host2 cannot be reached (ECONNREFUSED)");
  });

  test("are closed together", async () => {
    const hosts = [new ScriptedHost(refuses), new ScriptedHost(refuses)];
    await client(hosts).api.close();
    expect(hosts.map((host) => host.closed)).toEqual([true, true]);
  });
});

test("a certificate that is not trusted ends the request, is not retried and names the fingerprint", async () => {
  const message = "not trusted. set PROXMOX_FINGERPRINT=AA:BB";
  const untrusted = new ScriptedHost(() => {
    throw new WireFault("CERT_NOT_TRUSTED", message, { sent: false });
  });
  const other = new ScriptedHost(answers(1));
  const problem = await client([untrusted, other]).fails(start);
  expect(problem).toMatchObject({ kind: "unreachable", retryable: false, message });
  expect([untrusted.seen.length, other.seen.length]).toEqual([1, 0]);
});
