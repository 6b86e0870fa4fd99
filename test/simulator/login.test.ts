import { describe, expect, test } from "vitest";
import {
  adminLogin,
  adminToken,
  auditorLogin,
  authorization,
  carefulLogin,
  rootLogin,
} from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

type Host = ReturnType<typeof host>;
type Headers = Readonly<Record<string, string>>;

const minute = 60_000;

/** One request with these headers and no others. */
async function send(pve: Host, request: string, headers: Headers = {}, form: Headers = {}) {
  const [method = "GET", path = ""] = request.split(" ");
  const body = new URLSearchParams(form).toString();
  const reply = await pve.clock.run(
    pve.simulator.send({
      method: method as "GET" | "POST" | "PUT" | "DELETE",
      path: `/api2/json${path}`,
      headers,
      ...(method === "POST" || method === "PUT" ? { body } : {}),
    }),
  );
  const content = reply.body === "" ? {} : JSON.parse(reply.body);
  return { ...reply, ...content, data: content.data ?? {} };
}

const logIn = (pve: Host, form: Headers, headers: Headers = {}) =>
  send(pve, "POST /access/ticket", headers, form);
const cookie = (ticket: string) => ({ cookie: `PVEAuthCookie=${encodeURIComponent(ticket)}` });
const failure = {
  status: 401,
  reason: "authentication failure",
  message: "authentication failure\n",
};

describe("POST /access/ticket", () => {
  test("answers a ticket, a CSRF token, what the user may do, and the cluster's name to who may see it", async () => {
    const pve = host();
    const { status, data } = await logIn(pve, { ...adminLogin });
    expect(status).toBe(200);
    expect(data).toEqual({
      username: "admin@pve",
      ticket: expect.stringMatching(/^PVE:admin@pve:[0-9A-F]{8}::[A-Za-z0-9+/=]+$/),
      CSRFPreventionToken: expect.stringMatching(/^[0-9A-F]{8}:[A-Za-z0-9+/]{43}$/),
      cap: expect.objectContaining({ vms: expect.objectContaining({ "VM.Audit": 1 }) }),
      clustername: "lab",
    });
    const log = await pve.get("/cluster/log");
    expect(log.data[0]).toMatchObject({ msg: "successful auth for user 'admin@pve'" });
  });

  test("takes the realm beside the name", async () => {
    const pve = host();
    const { password } = adminLogin;
    expect((await logIn(pve, { username: "admin", realm: "pve", password })).status).toBe(200);
    expect(await logIn(pve, { username: "admin", password })).toMatchObject(failure);
    expect(await logIn(pve, { ...adminLogin, realm: "pve" })).toMatchObject(failure);
  });

  test.each([
    ["a wrong password", { ...adminLogin, password: "x" }],
    ["an unknown user", { username: "ghost@pve", password: "x" }],
    ["an unknown realm", { ...adminLogin, username: "admin@nope" }],
    ["a user without password", { username: "nobody@pve", password: "undefined" }],
    ["a ticket of somebody's making", { ...adminLogin, password: "PVE:admin@pve:6B0472A5::QUJD" }],
  ])("answers %s after three seconds with 401, and does not say why", async (_, form) => {
    const pve = host();
    const before = pve.clock.now();
    expect(await logIn(pve, form)).toMatchObject(failure);
    expect(pve.clock.now() - before).toBe(3_000);
  });

  test("has strict parameters, refused at once", async () => {
    const pve = host();
    const before = pve.clock.now();
    expect(await logIn(pve, { username: "root@pam" })).toMatchObject({
      status: 400,
      errors: { password: "property is missing and it is not optional" },
    });
    expect((await logIn(pve, { ...adminLogin, more: "1" })).status).toBe(400);
    expect((await logIn(pve, { ...adminLogin, path: "/vms" })).status).toBe(400);
    expect(pve.clock.now()).toBe(before);
  });

  test("with path and privs says whether the user has them", async () => {
    const pve = host();
    const ask = (privs: string) => logIn(pve, { ...auditorLogin, path: "/vms/101", privs });
    expect((await ask("VM.Audit")).data).toMatchObject({ username: "auditor@pve" });
    expect(await ask("VM.PowerMgmt")).toMatchObject(failure);
  });

  test("is not for tokens", async () => {
    const pve = host();
    const token = { authorization: authorization(adminToken) };
    const refused = await logIn(pve, { ...adminLogin }, token);
    expect(refused.status).toBe(403);
    expect(refused.message).toBe(
      "Permission check failed (URI '/access/ticket' not available with API token, need proper ticket.\n)\n",
    );
    const { data } = await logIn(pve, { ...adminLogin });
    const form = { userid: "admin@pve", password: "another-password" };
    const path = "PUT /access/password";
    expect((await send(pve, path, token, form)).status).toBe(403);
    const both = {
      ...token,
      ...cookie(data.ticket),
      csrfpreventiontoken: data.CSRFPreventionToken,
    };
    const old = { "confirmation-password": adminLogin.password };
    expect((await send(pve, path, both, { ...form, ...old })).status).toBe(200);
    expect(await logIn(pve, { ...adminLogin })).toMatchObject(failure);
    expect((await logIn(pve, { ...adminLogin, password: form.password })).status).toBe(200);
  });
});

describe("a ticket", () => {
  test("opens reads alone, changes with its user's CSRF token", async () => {
    const pve = host();
    const { data } = await logIn(pve, { ...adminLogin });
    const headers = cookie(data.ticket);
    expect((await send(pve, "GET /version", headers)).status).toBe(200);
    const start = "POST /nodes/pve2/qemu/302/status/start";
    const wrong = { status: 401, reason: "Permission denied - invalid csrf token", body: "" };
    const other = (await logIn(pve, { ...auditorLogin })).data.CSRFPreventionToken;
    for (const csrf of [{}, { csrfpreventiontoken: "0" }, { csrfpreventiontoken: other }]) {
      expect(await send(pve, start, { ...headers, ...csrf })).toMatchObject(wrong);
    }
    const csrf = { csrfpreventiontoken: data.CSRFPreventionToken };
    const started = await send(pve, start, { ...headers, ...csrf });
    expect(started.data).toMatch(/:admin@pve:$/);
    expect(pve.simulator.log.entries.at(-1)?.auth).toBe("admin@pve");
  });

  test("lives two hours, and makes the next one for its user; root@pam's does so for everybody", async () => {
    const pve = host();
    const { username } = adminLogin;
    const first = (await logIn(pve, { ...adminLogin })).data.ticket;
    await pve.clock.advance(119 * minute);
    const second = (await logIn(pve, { username, password: first })).data.ticket;
    await pve.clock.advance(2 * minute);
    const expired = { status: 401, reason: "Authentication failed!", body: "" };
    expect(await send(pve, "GET /version", cookie(first))).toMatchObject(expired);
    expect((await send(pve, "GET /version", cookie(second))).status).toBe(200);
    expect(await logIn(pve, { username, password: first })).toMatchObject(failure);
    const { username: auditor } = auditorLogin;
    expect(await logIn(pve, { username: auditor, password: second })).toMatchObject(failure);
    const root = (await logIn(pve, { ...rootLogin })).data.ticket;
    expect((await logIn(pve, { username: auditor, password: root })).data.username).toBe(auditor);
  });

  test("outlives the daily change of the key, and nothing outlives its loss", async () => {
    const pve = host();
    await logIn(pve, { ...adminLogin });
    await pve.clock.advance(24 * 60 * minute - minute);
    const { ticket } = (await logIn(pve, { ...adminLogin })).data;
    await pve.clock.advance(2 * minute);
    const later = (await logIn(pve, { ...adminLogin })).data.ticket;
    expect((await send(pve, "GET /version", cookie(ticket))).status).toBe(200);
    pve.simulator.outside.voidTickets();
    for (const one of [ticket, later, "%"]) {
      expect((await send(pve, "GET /version", cookie(one))).status).toBe(401);
    }
    expect((await send(pve, "GET /version", { cookie: "PVEAuthCookie=%" })).status).toBe(401);
  });
});

test("a second factor is asked for with a ticket that is good for nothing else", async () => {
  const pve = host();
  const { username, password, totp } = carefulLogin;
  const { data } = await logIn(pve, { username, password });
  expect(data).toMatchObject({ NeedTFA: 1, ticket: expect.stringMatching(/^PVE:!tfa!/) });
  expect(data).not.toHaveProperty("cap");
  expect((await send(pve, "GET /version", cookie(data.ticket))).status).toBe(401);
  const step = (code: string, more: Headers = {}) =>
    logIn(pve, { username, "tfa-challenge": data.ticket, password: code, ...more });
  expect(await step("totp:000000")).toMatchObject(failure);
  expect(await step(`totp:${totp}`, { otp: `totp:${totp}` })).toMatchObject(failure);
  expect(await step(`totp:${totp}`, { username: adminLogin.username })).toMatchObject(failure);
  const { ticket } = (await step(`totp:${totp}`)).data;
  expect((await send(pve, "GET /version", cookie(ticket))).status).toBe(200);
  expect((await logIn(pve, { username, password: ticket })).data).toHaveProperty("cap");
  expect((await logIn(pve, { username, password, otp: `totp:${totp}` })).data).toHaveProperty(
    "cap",
  );
  expect(await logIn(pve, { username, password, otp: "totp:1" })).toMatchObject(failure);
});

test("the request log shows who logged in by what, and no password", async () => {
  const pve = host();
  const { data } = await logIn(pve, { ...adminLogin });
  await logIn(pve, { username: adminLogin.username, password: data.ticket });
  expect(pve.simulator.log.entries.map(({ auth, body }) => [auth, body["password"]])).toEqual([
    ["", "<PASSWORD>"],
    ["", "<TICKET>"],
  ]);
});
