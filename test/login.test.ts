import { describe, expect, test } from "vitest";
import type { Transport, WireReply } from "../src/http/transport.ts";
import { adminLogin, carefulLogin } from "../src/simulator/demo-credentials.ts";
import type { LoggedRequest } from "../src/simulator/request-log.ts";
import type { Simulator } from "../src/simulator/simulator.ts";
import { type Lab, lab } from "./kit.ts";
import { httpsLab } from "./wire/https.ts";

const minute = 60_000;
const isLogin = ({ path }: LoggedRequest) => path === "/access/ticket";
const loginsOf = ({ simulator }: Lab) => simulator.log.entries.filter(isLogin);
const strangersOf = ({ simulator }: Lab) =>
  simulator.log.entries.filter((entry) => !isLogin(entry) && entry.auth !== adminLogin.username);
const refusedOf = ({ simulator }: Lab) => simulator.log.count({ status: 401 });

describe("lookups by user and password", () => {
  test("cost a login every 100 minutes of use, over a day and the change of the host's key", async () => {
    const server = await lab({ login: adminLogin });
    const calls: readonly (readonly [string, Record<string, unknown>])[] = [
      ["list_guests", {}],
      ["get_vm", { vm: "web-1" }],
      ["get_container", { container: "proxy-1" }],
      ["get_node", { node: "pve2" }],
      ["get_tasks", {}],
    ];
    for (let n = 0; n * 5 < 26 * 60; n++) {
      const [name, args] = calls[n % calls.length] ?? calls[0] ?? ["", {}];
      expect((await server.call(name, args)).text).not.toMatch(/^[a-z_]+: /);
      await server.clock.advance(5 * minute);
    }
    const logins = loginsOf(server);
    const gaps = logins.slice(1).map(({ at }, index) => at - (logins[index]?.at ?? 0));
    expect(logins).toHaveLength(Math.ceil((26 * 60) / 100));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(90 * minute);
    expect(logins.map(({ body }) => body["password"])).toEqual(
      logins.map((_, index) => (index === 0 ? "<PASSWORD>" : "<TICKET>")),
    );
    expect(refusedOf(server)).toBe(0);
    expect(strangersOf(server)).toEqual([]);
  }, 60_000);

  test("after a night without any begin with the password, and with nothing that is refused", async () => {
    const server = await lab({ login: adminLogin });
    await server.call("list_guests");
    const idle = server.simulator.log.mark();
    await server.clock.advance(9 * 60 * minute);
    expect(server.simulator.log.since(idle)).toEqual([]);
    expect((await server.call("get_vm", { vm: "web-1" })).isError).toBe(false);
    expect(loginsOf(server).map(({ body }) => body["password"])).toEqual(
      Array.from({ length: 2 }, () => "<PASSWORD>"),
    );
    expect(refusedOf(server)).toBe(0);
  });

  test("fifty at once, cold, log in once", async () => {
    const server = await lab({ login: adminLogin });
    const names = ["web-1", "web-2", "db-1", "wiki", "gateway-1"];
    const calls = Array.from({ length: 50 }, (_, n) =>
      server.begin("get_vm", { vm: names[n % names.length] }),
    );
    const answers = await server.clock.run(Promise.all(calls));
    expect(answers.filter(({ isError }) => isError)).toEqual([]);
    expect(loginsOf(server)).toHaveLength(1);
    expect(strangersOf(server)).toEqual([]);
  });
});

describe("a login that fails", () => {
  test("by a wrong password is unauthorized, asked for once a minute and waited for once", async () => {
    const server = await lab({ login: { ...adminLogin, password: "simulated-wrong" } });
    const begun = server.clock.now();
    const first = await server.call("list_guests");
    expect(first.kind).toBe("unauthorized");
    expect(first.text).toMatch(/PROXMOX_USERNAME.*realm.*PROXMOX_PASSWORD.*enabled/s);
    expect(server.clock.now() - begun).toBe(3_000);
    for (let n = 0; n < 6 * 10; n++) {
      const before = server.clock.now();
      expect((await server.call("get_vm", { vm: "web-1" })).kind).toBe("unauthorized");
      expect([0, 3_000]).toContain(server.clock.now() - before);
      await server.clock.advance(10_000);
    }
    const logins = loginsOf(server);
    expect(logins.length).toBeLessThanOrEqual(11);
    const gaps = logins.slice(1).map(({ at }, index) => at - (logins[index]?.at ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(minute);
    expect(server.simulator.log.entries).toEqual(logins);
  });

  test("for want of a second factor says so and names the way on", async () => {
    const { username, password } = carefulLogin;
    const server = await lab({ login: { username, password } });
    for (const tool of ["list_guests", "get_connection_status", "list_guests"]) {
      const { text } = await server.call(tool);
      expect(text).toMatch(/second factor.*API token.*PROXMOX_TOKEN_ID/s);
    }
    expect(loginsOf(server)).toHaveLength(1);
    expect(server.simulator.log.count({ path: /^\/(?!access\/ticket)/ })).toBe(0);
  });

  test("works as soon as the password is right on the host", async () => {
    const server = await lab({ login: { ...adminLogin, password: "simulated-later" } });
    expect((await server.call("list_guests")).kind).toBe("unauthorized");
    const admin = server.simulator.world.users.get(adminLogin.username);
    if (admin) admin.password = "simulated-later";
    await server.clock.advance(minute);
    expect((await server.call("list_guests")).isError).toBe(false);
  });
});

test("over HTTPS, cookie and CSRF token arrive as they should", async () => {
  const server = await httpsLab({ login: adminLogin });
  const answer = await server.call("start_guest", { guest: "staging-web-2" });
  expect(answer.data).toMatchObject({ vmid: 302, status: "running", changed: true });
  expect(loginsOf(server)).toHaveLength(1);
  expect([refusedOf(server), strangersOf(server)]).toEqual([0, []]);
});

/** A wire that does something to one request, before or instead of the simulator. */
function meddling(
  hits: RegExp,
  act: (
    simulator: Simulator,
    request: { readonly headers: object; readonly body?: string },
  ) => Partial<WireReply> | undefined,
) {
  return (simulator: Simulator): Transport => ({
    send: async (request) => {
      const reply = hits.test(`${request.method} ${request.path}`)
        ? act(simulator, request)
        : undefined;
      if (!reply) return simulator.send(request);
      return { status: 500, reason: "", headers: {}, body: "", ...reply };
    },
    close: () => simulator.close(),
  });
}

describe("a ticket that the host takes no more", () => {
  test("between the reads and the change costs one login; the change is carried out once", async () => {
    let left = 1;
    const wire = meddling(/^POST .*\/status\/start$/, (simulator) => {
      if (left-- > 0) simulator.outside.voidTickets();
      return undefined;
    });
    const server = await lab({ login: adminLogin, wire });
    await server.call("list_guests");
    const answer = await server.call("start_guest", { guest: "staging-web-2" });
    expect(answer.data).toMatchObject({ vmid: 302, status: "running", changed: true });
    const sent = server.simulator.log.filter({ method: "POST", path: /status\/start$/ });
    expect(sent.map(({ status }) => status)).toEqual([401, 200]);
    expect(loginsOf(server)).toHaveLength(2);
    expect(refusedOf(server)).toBe(1);
  });

  test("with many reads under way costs one login, and no read fails", async () => {
    const server = await lab({ login: adminLogin });
    await server.call("list_guests");
    server.simulator.outside.voidTickets();
    const guests = ["web-1", "web-2", "db-1", "wiki", "gateway-1", "files-1", "build-2"];
    const calls = guests.map((vm) => server.begin("get_vm", { vm, max_age_s: 0 }));
    const answers = await server.clock.run(Promise.all(calls));
    expect(answers.filter(({ isError }) => isError)).toEqual([]);
    expect(loginsOf(server)).toHaveLength(2);
    expect(refusedOf(server)).toBeLessThanOrEqual(8);
  });

  test("again and again costs a login each time, and no read fails", async () => {
    const server = await lab({ login: adminLogin });
    await server.call("list_guests");
    for (let n = 0; n < 12; n++) {
      server.simulator.outside.voidTickets();
      const answer = await server.call("get_vm", { vm: "web-1", max_age_s: 0 });
      expect(answer.isError, answer.text).toBe(false);
      await server.clock.advance(15_000);
    }
    expect(loginsOf(server)).toHaveLength(13);
  });

  test("for its user was disabled ends in unauthorized, with one login more", async () => {
    const server = await lab({ login: adminLogin });
    await server.call("list_guests");
    const admin = server.simulator.world.users.get(adminLogin.username);
    if (admin) admin.enabled = false;
    const answer = await server.call("start_guest", { guest: "staging-web-2" });
    expect(answer.kind).toBe("unauthorized");
    expect((await server.call("get_vm", { vm: "wiki", max_age_s: 0 })).kind).toBe("unauthorized");
    expect(loginsOf(server)).toHaveLength(2);
    expect(server.simulator.world.guests.get(302)?.run.status).toBe("stopped");
  });
});

describe("password, tickets and CSRF tokens", () => {
  const password = 'c4n4ry & p"ss/wört=1';

  /** What of the secrets a text holds, in any form in which they travel. */
  function leaks(text: string, secrets: readonly string[]): string[] {
    const forms = (secret: string) => {
      const encoded = encodeURIComponent(secret);
      const json = JSON.stringify(secret).slice(1, -1);
      const lower = encoded.replace(/%../g, (byte) => byte.toLowerCase());
      return [secret, json, encoded, lower, encoded.replaceAll("%20", "+")];
    };
    const parts = secrets.flatMap((secret) => [secret, ...secret.split("::").slice(1)]);
    return parts.filter((part) => forms(part).some((form) => text.includes(form)));
  }

  test("stand in no answer and no log, even where the host echoes them; a planted one is found", async () => {
    const echo = meddling(/qemu\/101|\/nodes\/pve3\/status/, (_, { headers, body = "" }) => {
      const { cookie = "", csrfpreventiontoken: csrf = "" } = { ...headers } as Record<
        string,
        string
      >;
      const words = `bad ${cookie} ${decodeURIComponent(cookie)} ${csrf} ${password} ${encodeURIComponent(password)} ${body}`;
      return {
        reason: words,
        body: JSON.stringify({ data: null, message: words, errors: { x: words } }),
      };
    });
    const server = await lab({ login: { ...adminLogin, password }, wire: echo });
    const admin = server.simulator.world.users.get(adminLogin.username);
    if (admin) admin.password = password;
    const answers: unknown[] = [];
    for (const [name, args] of [
      ["list_guests", {}],
      ["get_vm", { vm: "web-1" }],
      ["start_guest", { guest: "web-1" }],
      ["stop_guest", { guest: "web-1", mode: "stop" }],
      ["get_node", { node: "pve3" }],
      ["start_guest", { guest: "staging-web-2" }],
      ["get_connection_status", {}],
    ] as const) {
      answers.push(await server.call(name, args));
      server.simulator.outside.voidTickets();
      await server.clock.advance(minute);
    }
    const made = loginsOf(server).flatMap(({ response }) => {
      const { data } = response as { data: Record<string, string> };
      return [data["ticket"] ?? "", data["CSRFPreventionToken"] ?? ""];
    });
    const secrets = [password, ...made];
    expect(made.length).toBeGreaterThanOrEqual(6);
    const seen = `${JSON.stringify(answers)}\n${server.logged.join("")}`;
    expect(seen).toContain("[secret]");
    expect(leaks(seen, secrets)).toEqual([]);
    const requests = server.simulator.log.entries.map(({ body, query }) => ({ body, query }));
    expect(leaks(JSON.stringify(requests), secrets)).toEqual([]);
    for (const secret of secrets) {
      expect(leaks(`${seen} planted ${encodeURIComponent(secret)}`, secrets)).toContain(secret);
    }
  });
});
