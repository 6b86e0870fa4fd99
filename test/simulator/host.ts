import type { Method } from "../../src/http/transport.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";
import {
  adminToken,
  authorization,
  type Credentials,
} from "../../src/simulator/demo-credentials.ts";
import { Simulator, type SimulatorOptions } from "../../src/simulator/simulator.ts";

export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed body; null where it is empty. */
  readonly body: Record<string, unknown> | null;
  /** `body.data`. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly data: any;
}

export type Form = Readonly<Record<string, string | number>>;

/** A simulated host with a clock of its own, and the least of a client. */
export function host(options: Omit<SimulatorOptions, "clock"> = {}) {
  const clock = new VirtualClock();
  const simulator = new Simulator({ clock, ...options });

  /** One request as `who`; GET and DELETE take their parameters in the query. */
  async function request(
    method: Method,
    path: string,
    form: Form = {},
    who: Credentials = adminToken,
  ): Promise<Answer> {
    const query = method === "GET" || method === "DELETE";
    const text = new URLSearchParams(
      Object.entries(form).map(([key, value]): [string, string] => [key, String(value)]),
    ).toString();
    const reply = await clock.run(
      simulator.send({
        method,
        path: `/api2/json${path}${query && text !== "" ? `?${text}` : ""}`,
        headers: { authorization: authorization(who) },
        ...(query ? {} : { body: text }),
      }),
    );
    const body = reply.body === "" ? null : JSON.parse(reply.body);
    const { status, reason, headers } = reply;
    return { status, reason, headers, body, data: body?.data };
  }

  const get = (path: string, form?: Form, who?: Credentials) => request("GET", path, form, who);
  const post = (path: string, form?: Form, who?: Credentials) => request("POST", path, form, who);
  const put = (path: string, form?: Form, who?: Credentials) => request("PUT", path, form, who);
  const del = (path: string, form?: Form, who?: Credentials) => request("DELETE", path, form, who);

  async function row(vmid: number, who?: Credentials) {
    const { data } = await get("/cluster/resources", { type: "vm" }, who);
    return data.find((entry: Record<string, unknown>) => entry["vmid"] === vmid);
  }

  /** Lets time pass until the task is over; answers its exit status. */
  async function settle(upid: string, limitMs = 120_000): Promise<string> {
    const node = upid.split(":")[1];
    const path = `/nodes/${node}/tasks/${encodeURIComponent(upid)}/status`;
    for (let waited = 0; waited <= limitMs; waited += 100) {
      const { data } = await get(path);
      if (data.status === "stopped") return data.exitstatus;
      await clock.advance(100);
    }
    throw new Error(`${upid} still runs`);
  }

  async function lines(upid: string): Promise<string[]> {
    const node = upid.split(":")[1];
    const path = `/nodes/${node}/tasks/${encodeURIComponent(upid)}/log`;
    const { data } = await get(path, { limit: 0 });
    return data.map((line: { t: string }) => line.t);
  }

  /** The exit status of a started task, after all that happened. */
  async function outcome(answer: Promise<Answer>): Promise<string> {
    const { status, data, reason } = await answer;
    if (status !== 200) throw new Error(`${status} ${reason}`);
    return settle(data);
  }

  return { clock, simulator, request, get, post, put, del, row, settle, lines, outcome };
}
