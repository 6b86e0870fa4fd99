import { describe, expect, test } from "vitest";
import { path } from "../../src/http/path.ts";
import { ticketLogin } from "../../src/http/ticket.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { answers, cuts, problemOf, refuses, type Step, says } from "./fake.ts";
import {
  cookieNo,
  csrfNo,
  denied,
  ticketLab as lab,
  minute,
  password,
  read,
  ticketNo,
  username,
  write,
} from "./ticket-lab.ts";

describe("a login", () => {
  test("comes before everything else, and is a cookie, with a CSRF token where something changes", async () => {
    const { ask, host } = lab();
    await ask();
    await ask(write);
    await ask({ method: "DELETE", path: path`/pools/${"p"}` });
    const [login, get, ...changes] = host.seen;
    expect(login?.body).toBe(`username=ann%40pve&password=${encodeURIComponent(password)}`);
    expect(Object.keys(login?.headers ?? {})).toEqual(["accept", "user-agent", "content-type"]);
    expect(get?.headers).toMatchObject({ cookie: cookieNo(1) });
    expect(get?.headers).not.toHaveProperty("csrfpreventiontoken");
    expect(changes).toHaveLength(2);
    for (const { headers } of changes) {
      expect(headers).toMatchObject({ cookie: cookieNo(1), csrfpreventiontoken: csrfNo(1) });
    }
  });

  test("is one for fifty callers, and survives the one who gives up", async () => {
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const slow: Step = async (request) => {
      await gate;
      return answers({ ticket: ticketNo(1), CSRFPreventionToken: csrfNo(1) })(request);
    };
    const { api, clock, logins, calls } = lab({
      logins: [slow],
      calls: Array.from({ length: 49 }, () => answers("yes")),
    });
    const giveUp = new AbortController();
    const first = problemOf(api.request({ ...read, signal: giveUp.signal }));
    const others = Array.from({ length: 49 }, () => api.request(read));
    await clock.advance(0);
    giveUp.abort(new Error("enough"));
    expect(await first).toMatchObject({
      kind: "cancelled",
      message: expect.stringContaining("Nothing was sent"),
    });
    open();
    expect(await clock.run(Promise.all(others))).toHaveLength(49);
    expect(logins()).toEqual([password]);
    expect(calls()).toHaveLength(49);
  });

  test.each([
    ["cut after it left", cuts],
    ["lost between daemons", says(596, "Broken pipe")],
    ["refused by the network", refuses],
    ["answered by a proxy", says(503, "x")],
  ])("that was %s is repeated: it changes nothing", async (_, trouble) => {
    const { ask, logins } = lab({ logins: [trouble] });
    expect((await ask(write)).data).toBe("yes");
    expect(logins()).toEqual([password, password]);
  });

  test("that cannot be sent is no refusal: the next call tries at once", async () => {
    const { fails, ask } = lab({ logins: Array.from({ length: 5 }, () => refuses) });
    expect(await fails(write)).toMatchObject({ kind: "unreachable", retryable: true });
    expect((await ask(write)).data).toBe("yes");
  });

  test.each([
    ["null", null],
    ["no ticket", { username }],
    ["a CSRF token that is no header", { ticket: ticketNo(1), CSRFPreventionToken: "a\r\nb: c" }],
  ])("answered with %s is no login", async (_, data) => {
    const { fails, calls } = lab({ logins: [answers(data)] });
    expect((await fails()).kind).toBe("upstream");
    expect(calls()).toEqual([]);
  });

  test.each(["ann", "ann@", "@pve", "ann@pve!token", "a b@pve"])(
    "as %j is refused before it is tried",
    async (name) => {
      const clock = new VirtualClock();
      const problem = await problemOf(
        Promise.resolve().then(() => ticketLogin({ username: name, password, clock })),
      );
      expect(problem).toMatchObject({ kind: "invalid_input", next: expect.stringMatching(/@pam/) });
    },
  );
});

describe("a refused login", () => {
  test("says what to check, and is tried once a minute", async () => {
    const { fails, ask, clock, logins, calls } = lab({ logins: [denied, denied] });
    const first = await fails();
    expect(first).toMatchObject({ kind: "unauthorized", retryable: false });
    expect(first.next).toMatch(/realm.*PROXMOX_PASSWORD.*enabled.*expired/);
    for (let n = 0; n < 20; n++) {
      const again = await fails(n % 2 ? write : read);
      expect(again).toMatchObject({
        kind: "unauthorized",
        next: first.next,
        message: expect.stringMatching(/not asked again.*\d+ s/),
      });
      await clock.advance(2_900);
    }
    expect(logins()).toHaveLength(1);
    await clock.advance(2_000);
    expect((await fails()).kind).toBe("unauthorized");
    expect(logins()).toHaveLength(2);
    expect(calls()).toEqual([]);
    await clock.advance(minute);
    expect((await ask()).data).toBe("yes");
  });

  test("that wants a second factor points to tokens, and its ticket is not used", async () => {
    const challenge = {
      NeedTFA: 1,
      ticket: "PVE:!tfa!x:00000001::Sig",
      CSRFPreventionToken: csrfNo(1),
    };
    const { fails, logins, calls } = lab({ logins: [answers(challenge)] });
    const problem = await fails();
    expect(problem.kind).toBe("unauthorized");
    expect(problem.message).toMatch(/second factor/);
    expect(problem.next).toMatch(/API token.*PROXMOX_TOKEN_ID/);
    expect((await fails(write)).next).toBe(problem.next);
    expect(logins()).toHaveLength(1);
    expect(calls()).toEqual([]);
  });
});

test("password, ticket and CSRF token are scrubbed in every form, and other words are not", async () => {
  const { ask, auth } = lab();
  await ask();
  const secrets = [
    password,
    ticketNo(1),
    csrfNo(1),
    "6B0472A5:c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF",
  ];
  for (const secret of [...secrets, "PVE:old@pam:6B0472A5::QUJD+/8="]) {
    const encoded = encodeURIComponent(secret);
    const lower = encoded.replace(/%../g, (byte) => byte.toLowerCase());
    for (const form of [
      secret,
      encoded,
      lower,
      encoded.replaceAll("%20", "+"),
      JSON.stringify(secret).slice(1, -1),
    ]) {
      expect(auth.scrub(`before ${form} after`), form).toBe("before [secret] after");
    }
  }
  const innocent = "UPID:pve1:00000680:00073D8B:6B04733A:vncproxy:160:ann@pve: on ann@pve";
  expect(auth.scrub(innocent)).toBe(innocent);
  expect(auth.describe()).toBe("user ann@pve by password");
  expect(JSON.stringify(auth)).not.toContain("c4n4ry");
});
