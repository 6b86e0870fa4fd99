import { describe, expect, test } from "vitest";
import { WireFault } from "../../src/http/transport.ts";
import { adminToken, authorization } from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

const admin = { authorization: authorization(adminToken) };

describe("a host's answers", () => {
  test("carry data, the date of the clock, and nothing that may be cached", async () => {
    const pve = host();
    const { status, headers, body } = await pve.get("/version");
    expect(status).toBe(200);
    expect(body).toEqual({
      data: { version: "9.1.4", release: "9.1", repoid: "5ac30304265fbd8e" },
    });
    expect(headers["date"]).toBe(new Date(pve.clock.now()).toUTCString());
    expect(headers["cache-control"]).toBe("max-age=0");
    expect(headers["content-type"]).toBe("application/json;charset=UTF-8");
  });

  test("speak of a PVE 8 when asked to", async () => {
    expect((await host({ version: "8.4" }).get("/version")).data.release).toBe("8.4");
  });

  test("come 3 s late and empty when credentials are missing or wrong", async () => {
    const pve = host();
    const before = pve.clock.now();
    const none = await pve.clock.run(
      pve.simulator.send({ method: "GET", path: "/api2/json/version", headers: {} }),
    );
    expect(none).toMatchObject({ status: 401, reason: "No ticket", body: "" });
    expect(pve.clock.now() - before).toBe(3000);
    const wrong = await pve.get("/version", {}, { ...adminToken, secret: "nope" });
    expect(wrong).toMatchObject({ status: 401, reason: "Authentication failed!", body: null });
  });

  test("say 501 to unknown paths and methods, in the text and in the reason", async () => {
    const pve = host();
    const path = await pve.get("/nodes/pve1/nonexistent");
    expect(path.status).toBe(501);
    expect(path.body).toEqual({
      data: null,
      message: "Method 'GET /nodes/pve1/nonexistent' not implemented",
    });
    expect((await pve.del("/version")).reason).toBe("Method 'DELETE /version' not implemented");
  });

  test("refuse a body on GET and DELETE", async () => {
    const pve = host();
    const request = { method: "DELETE", path: "/api2/json/nodes/pve1/qemu/101" } as const;
    const reply = await pve.simulator.send({ ...request, headers: admin, body: "purge=1" });
    expect(reply.status).toBe(501);
    expect(reply.reason).toBe("Unexpected content for method 'DELETE'");
  });
});

describe("a request is read", () => {
  const send = async (path: string, body?: string) => {
    const pve = host();
    const method = body === undefined ? "GET" : "PUT";
    const more = body === undefined ? {} : { body };
    const reply = await pve.simulator.send({
      method,
      path: `/api2/json${path}`,
      headers: admin,
      ...more,
    });
    return { pve, reply, json: JSON.parse(reply.body) };
  };

  test("with its whole path decoded before it is split", async () => {
    const { json } = await send("/nodes/pve1%2Fqemu%2F101/config");
    expect(json.data.name).toBe("web-1");
    expect((await send("//nodes//pve1/qemu/101/config/")).reply.status).toBe(200);
  });

  test("with an empty value as not given, plus as a space, and only two pieces around =", async () => {
    const path = "/nodes/pve1/qemu/101/config";
    const { pve, reply } = await send(path, "name=&description=two+words%20and=rest&onboot=1");
    expect(reply.status).toBe(200);
    const config = pve.simulator.world.guests.get(101)?.config;
    expect(config).toMatchObject({ name: "web-1", description: "two words and", onboot: "1" });
  });

  test("with raw semicolons as separators", async () => {
    const { json } = await send("/nodes/pve1/qemu/101/config", "tags=a;b");
    expect(json).toMatchObject({ data: null });
  });

  test("with repeated keys joined where the schema has a list", async () => {
    const { pve } = await send("/nodes/pve1/qemu/101/config", "tags=b&tags=A");
    expect(pve.simulator.world.guests.get(101)?.config["tags"]).toBe("a;b");
  });

  test("and refused when a parameter contradicts the path", async () => {
    const { json } = await send("/nodes/pve1/qemu/101/config?vmid=102");
    expect(json.errors).toEqual({
      vmid: "duplicate parameter (already defined in URI) with conflicting values!",
    });
  });
});

describe("parameters are judged", () => {
  test("all at once, in PVE's words", async () => {
    const pve = host();
    const { status, reason, body } = await pve.put("/nodes/pve1/qemu/101/config", {
      cores: "two",
      sockets: 0,
      colour: "red",
      onboot: "true",
      ostype: "xyz",
      name: "under_score",
      net0: "bridge=vmbr0",
      net1: "virtio,bridge=vmbr0,speed=1",
      memory: "abc",
      net99: "virtio",
    });
    expect([status, reason]).toEqual([400, "Parameter verification failed."]);
    expect(body).toMatchObject({ data: null, message: "Parameter verification failed.\n" });
    const unknown =
      "property is not defined in schema and the schema does not allow additional properties";
    expect(body?.["errors"]).toEqual({
      cores: "type check ('integer') failed - got 'two'",
      sockets: "value must have a minimum value of 1",
      colour: unknown,
      net99: unknown,
      onboot: "type check ('boolean') failed - got 'true'",
      ostype:
        "value 'xyz' does not have a value in the enumeration 'other, wxp, w2k, w2k3, w2k8, wvista, win7, win8, win10, win11, l24, l26, solaris'",
      name: "invalid format - value does not look like a valid DNS name\n",
      net0: "invalid format - format error\nnet0.model: property is missing and it is not optional\n",
      net1: "invalid format - invalid key in comma-separated list property: speed\n",
      memory:
        "invalid format - format error\nmemory.current: type check ('integer') failed - got 'abc'\n",
    });
  });

  test("after privileges and after the way to the node", async () => {
    const pve = host();
    expect((await pve.get("/nodes/pve1/qemu/abc/config")).body?.["errors"]).toEqual({
      vmid: "type check ('integer') failed - got 'abc'",
    });
    pve.simulator.outside.nodeDown("pve2");
    const down = await pve.put("/nodes/pve2/qemu/102/config", { bogus: 1 });
    expect(down).toMatchObject({ status: 595, reason: "No route to host", body: null });
    const nowhere = await pve.get("/nodes/nope/status");
    expect(nowhere).toMatchObject({
      status: 500,
      reason:
        "hostname lookup 'nope' failed - failed to get address info for: nope: Name or service not known",
    });
  });
});

describe("faults", () => {
  const start = {
    method: "POST",
    path: "/api2/json/nodes/pve2/qemu/302/status/start",
    headers: admin,
  } as const;
  const state = (pve: ReturnType<typeof host>) => pve.simulator.world.guests.get(302)?.run.status;

  test("refuse: nothing leaves, and the log says so", async () => {
    const pve = host();
    pve.simulator.faults.refuse({ times: 1 });
    const fault = await pve.simulator.send(start).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(WireFault);
    expect(fault).toMatchObject({ code: "ECONNREFUSED", sent: false });
    expect(pve.simulator.log.entries[0]).toMatchObject({ status: 0, arrived: false });
    expect((await pve.get("/version")).status).toBe(200);
  });

  test("cut before the world: nothing happened; cut after it: it happened, and nobody was told", async () => {
    const pve = host();
    pve.simulator.faults.cutBeforeWorld({ method: "POST", times: 1 });
    await expect(pve.simulator.send(start)).rejects.toMatchObject({ sent: true });
    await pve.clock.advance(5000);
    expect(state(pve)).toBe("stopped");
    pve.simulator.faults.cutAfterWorld({ path: /status\/start$/, times: 1 });
    await expect(pve.simulator.send(start)).rejects.toMatchObject({ sent: true });
    await pve.clock.advance(5000);
    expect(state(pve)).toBe("running");
    expect(pve.simulator.log.changes().map(({ arrived }) => arrived)).toEqual([false, true]);
  });

  test("hang: until the caller gives up", async () => {
    const pve = host();
    pve.simulator.faults.hang({ times: 1 });
    const reason = new Error("enough");
    const given = pve.simulator.send({ ...start, signal: AbortSignal.abort(reason) });
    await expect(given).rejects.toBe(reason);
    const later = new AbortController();
    const sent = pve.simulator.send({ ...start, signal: later.signal });
    setImmediate(() => later.abort(reason));
    await expect(sent).rejects.toMatchObject({ sent: true, cause: reason });
  });

  test("delay and foreign replies, until they are removed", async () => {
    const pve = host();
    const before = pve.clock.now();
    pve.simulator.faults.delay(1500, { times: 1 });
    await pve.get("/version");
    expect(pve.clock.now() - before).toBe(1500);
    const headers = { "retry-after": "2" };
    const remove = pve.simulator.faults.reply({ status: 429, reason: "Too Many", headers });
    const request = { method: "GET", path: "/api2/json/version", headers: admin } as const;
    expect(await pve.simulator.send(request)).toMatchObject({ status: 429, headers, body: "" });
    remove();
    expect((await pve.simulator.send(request)).status).toBe(200);
  });

  test("latency passes on the clock, and a request on its way is carried out without its sender", async () => {
    const pve = host({ latencyMs: 40 });
    const gone = new AbortController();
    const sent = pve.simulator.send({ ...start, signal: gone.signal });
    setImmediate(() => gone.abort(new Error("bye")));
    await expect(sent).rejects.toMatchObject({ sent: true });
    await pve.clock.advance(5000);
    expect(state(pve)).toBe("running");
  });
});
