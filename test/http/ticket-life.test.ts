import { describe, expect, test } from "vitest";
import { answers, cuts, refuses, says } from "./fake.ts";
import {
  cookieNo,
  csrfNo,
  isLogin,
  ticketLab as lab,
  minute,
  password,
  read,
  ticketNo,
  username,
  write,
} from "./ticket-lab.ts";

describe("a ticket", () => {
  test("is renewed by itself before it ends, behind a request that does not wait for it", async () => {
    const { ask, clock, logins, calls } = lab();
    await ask();
    await clock.advance(99 * minute);
    await ask();
    expect(logins()).toEqual([password]);
    await clock.advance(2 * minute);
    await ask();
    await clock.advance(0);
    await ask(write);
    expect(logins()).toEqual([password, ticketNo(1)]);
    expect(calls().map(({ headers }) => headers["cookie"])).toEqual([1, 1, 1, 2].map(cookieNo));
  });

  test("that is not taken for a renewal gives way to the password", async () => {
    const { ask, clock, logins } = lab({
      logins: [answers({ ticket: ticketNo(9), CSRFPreventionToken: csrfNo(9) })],
      calls: [answers(1), answers(2)],
    });
    await ask();
    await clock.advance(101 * minute);
    await ask();
    await clock.advance(0);
    expect((await ask(write)).data).toBe("yes");
    expect(logins()).toEqual([password, ticketNo(9), password]);
  });

  test("serves on while its renewal fails, which is tried once a minute", async () => {
    const { ask, clock, logins } = lab({
      logins: [
        answers({ ticket: ticketNo(1), CSRFPreventionToken: csrfNo(1) }),
        ...Array.from({ length: 500 }, () => refuses),
      ],
      calls: Array.from({ length: 500 }, () => answers("yes")),
    });
    await ask();
    await clock.advance(101 * minute);
    const before = clock.now();
    for (let n = 0; n < 60; n++) {
      expect((await ask()).data).toBe("yes");
      await clock.advance(5_000);
    }
    const tries = (clock.now() - before) / minute + 1;
    expect(logins().length).toBeLessThanOrEqual(1 + 5 * tries);
  });

  test.each([
    ["after a night", 9 * 60 * minute],
    ["after the clock was set back", -5 * minute],
  ])("is not tried for a renewal %s", async (_, ms) => {
    const { clock, api, logins, voidAll } = lab();
    await clock.run(api.request(read));
    const now = clock.now.bind(clock);
    if (ms > 0) await clock.advance(ms);
    else clock.now = () => now() + ms;
    voidAll();
    await clock.run(api.request(write));
    expect(logins()).toEqual([password, password]);
  });

  test.each([
    ["a read", read],
    ["a change", write],
  ])("that PVE takes no more costs %s one login, and it is sent again once", async (_, request) => {
    const { ask, logins, calls, voidAll, host } = lab();
    await ask();
    voidAll();
    const mark = host.seen.length;
    let sent = 0;
    expect((await ask({ ...request, onSend: () => sent++ })).data).toBe("yes");
    expect(host.seen.slice(mark).map(isLogin)).toEqual([false, true, false]);
    expect(
      calls()
        .slice(-2)
        .map(({ headers }) => headers["cookie"]),
    ).toEqual([1, 2].map(cookieNo));
    expect(logins()).toEqual([password, password]);
    expect(sent).toBe(2);
  });

  test("that is refused at once again ends in unauthorized: no loop, and no login a call", async () => {
    const never = says(401, "Authentication failed!");
    const { fails, ask, clock, logins, calls } = lab({
      calls: Array.from({ length: 7 }, () => never),
    });
    expect(await fails(write)).toMatchObject({
      kind: "unauthorized",
      facts: { principal: username },
    });
    expect([logins().length, calls().length]).toEqual([2, 2]);
    for (let n = 0; n < 3; n++) expect((await fails()).kind).toBe("unauthorized");
    expect([logins().length, calls().length]).toEqual([2, 5]);
    await clock.advance(minute);
    expect((await fails()).kind).toBe("unauthorized");
    expect([logins().length, calls().length]).toEqual([3, 7]);
    expect((await ask(write)).data).toBe("yes");
  });

  test("that serves and is refused by turns costs five logins a minute and no more", async () => {
    const { api, ask, clock, logins, voidAll } = lab();
    await ask();
    const fate = () =>
      clock.run(api.request(read)).then(
        () => "served",
        (error) => error,
      );
    const outcomes: unknown[] = [];
    for (let n = 0; n < 8; n++) {
      voidAll();
      outcomes.push(await fate());
      await clock.advance(5_000);
    }
    expect(outcomes.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => "served"));
    expect(outcomes[5]).toMatchObject({ kind: "unauthorized" });
    expect(logins()).toHaveLength(6);
    await clock.advance(20_000);
    expect(await fate()).toBe("served");
    expect(logins()).toHaveLength(7);
  });

  test("that is refused though the login is good blames no password, and tells the next try", async () => {
    const never = says(401, "Authentication failed!");
    const { fails, clock } = lab({ calls: Array.from({ length: 3 }, () => never) });
    const first = await fails();
    expect(first.next).not.toContain("Check user name");
    expect(first.next).toMatch(/its login is good.*next login is tried in 60 s/i);
    await clock.advance(45_000);
    expect((await fails()).next).toContain("in 15 s");
  });

  test("is not given up for a 403", async () => {
    const { fails, logins, calls } = lab({
      calls: [says(403, "Permission check failed (/, Sys.Audit)")],
    });
    expect((await fails(write)).kind).toBe("forbidden");
    expect([logins().length, calls().length]).toEqual([1, 1]);
  });

  test("that was void before a change is a login that failed, not an unknown outcome", async () => {
    const { ask, fails, voidAll, host } = lab({ logins: [] });
    await ask();
    voidAll();
    const refused = lab({
      logins: [
        answers({ ticket: ticketNo(7), CSRFPreventionToken: csrfNo(7) }),
        ...Array.from({ length: 9 }, () => cuts),
      ],
    });
    const problem = await refused.fails(write);
    expect(problem.kind).toBe("unreachable");
    expect(problem.message).toContain("POST /access/ticket");
    expect(refused.calls()).toHaveLength(1);
    expect((await fails({ ...write, signal: AbortSignal.abort(new Error("x")) })).kind).toBe(
      "cancelled",
    );
    expect(host.seen).toHaveLength(2);
  });

  test("that was replaced while requests waited for their place is not sent by them", async () => {
    const { api, clock, calls, logins, voidAll, ask } = lab();
    await ask();
    voidAll();
    const all = Array.from({ length: 30 }, () => api.request(read));
    expect(await clock.run(Promise.all(all))).toHaveLength(30);
    const cookies = calls()
      .slice(1)
      .map(({ headers }) => headers["cookie"]);
    expect(cookies.filter((cookie) => cookie === cookieNo(1)).length).toBeLessThanOrEqual(8);
    expect(cookies.filter((cookie) => cookie === cookieNo(2))).toHaveLength(30);
    expect(logins()).toHaveLength(2);
  });
});
