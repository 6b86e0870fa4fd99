import { ApiClient } from "../../src/http/client.ts";
import { path } from "../../src/http/path.ts";
import { ticketLogin } from "../../src/http/ticket.ts";
import type { WireRequest } from "../../src/http/transport.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { answers, problemOf, ScriptedHost, type Step, says } from "./fake.ts";

export const username = "ann@pve";
export const password = "c4n4ry & söhne=1";
export const minute = 60_000;
export const read = { method: "GET", path: path`/version` } as const;
export const write = {
  method: "POST",
  path: path`/nodes/${"pve1"}/qemu/${101}/status/start`,
} as const;
export const denied = says(401, "authentication failure", {
  body: '{"data":null,"message":"authentication failure\\n"}',
});

export const ticketNo = (n: number) =>
  `PVE:ann@pve:${n.toString(16).toUpperCase().padStart(8, "0")}::Sig+/${n}=`;
export const csrfNo = (n: number) => `0000000${n}:csrf-of-${n}`;
export const cookieNo = (n: number) => `PVEAuthCookie=${encodeURIComponent(ticketNo(n))}`;
export const isLogin = ({ path: target }: WireRequest) => target === "/api2/json/access/ticket";

/** A host that gives out numbered tickets, each good until `voidAll`; `logins` and `calls` are scripts laid over that. */
export function ticketLab(
  script: { readonly logins?: readonly Step[]; readonly calls?: readonly Step[] } = {},
) {
  const clock = new VirtualClock();
  const left = { logins: [...(script.logins ?? [])], calls: [...(script.calls ?? [])] };
  let made = 0;
  let voidUpTo = 0;
  const login: Step = (request) => {
    const given = new URLSearchParams(request.body).get("password");
    const valid = Array.from({ length: made - voidUpTo }, (_, n) => ticketNo(voidUpTo + 1 + n));
    if (given !== password && !valid.includes(given ?? "")) return denied(request);
    made++;
    const data = { username, ticket: ticketNo(made), CSRFPreventionToken: csrfNo(made) };
    return answers(data)(request);
  };
  const call: Step = (request) => {
    const good = Array.from({ length: made - voidUpTo }, (_, n) => cookieNo(voidUpTo + 1 + n));
    const known = good.includes(request.headers["cookie"] ?? "");
    return known ? answers("yes")(request) : says(401, "Authentication failed!")(request);
  };
  const host = new ScriptedHost((request) =>
    isLogin(request)
      ? (left.logins.shift() ?? login)(request)
      : (left.calls.shift() ?? call)(request),
  );
  const auth = ticketLogin({ username, password, clock });
  const api = new ApiClient({ hosts: [{ name: "host1", transport: host }], auth, clock });
  return {
    clock,
    auth,
    api,
    host,
    ask: (request: Parameters<ApiClient["request"]>[0] = read) => clock.run(api.request(request)),
    fails: (request: Parameters<ApiClient["request"]>[0] = read) =>
      problemOf(clock.run(api.request(request))),
    logins: () =>
      host.seen.filter(isLogin).map(({ body }) => new URLSearchParams(body).get("password")),
    calls: () => host.seen.filter((request) => !isLogin(request)),
    voidAll: () => {
      voidUpTo = made;
    },
  };
}
