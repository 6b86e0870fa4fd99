import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

test.each([
  [{ node: "pve9" }, 'No node is called "pve9"; closest: pve1, pve2, pve3.'],
  [{ pool: "prod" }, 'No pool with guests is called "prod"; closest: production.'],
  [{ pool: "xyz" }, 'No pool with guests is called "xyz"; there are: production, staging.'],
  [{ tag: "webb" }, 'No tag is called "webb"; closest: web.'],
  [{ status: "off" }, 'No status is called "off"; there are: running, stopped.'],
  [{ name: "web-11" }, 'No guest is called "web-11"; closest: web-1, web-10, web-2.'],
])(
  "a filter that fits no guest at all, %o, says what there is, without a request",
  async (filter, words) => {
    const mark = server.simulator.log.mark();
    const { text, data } = await server.call("list_guests", filter);
    expect(text).toBe(`No guest matches.\n${words}`);
    expect(data).toMatchObject({ guests: [], hints: [words], total: 0 });
    expect(server.simulator.log.since(mark)).toEqual([]);
  },
);

test("both parts are told where neither fits", async () => {
  const { data } = await server.call("list_guests", { node: "pve9", tag: "webb" });
  expect(data["hints"]).toHaveLength(2);
});

test.each([
  { tag: "WEB", node: "pve1", status: "stopped" },
  { name: "zz*" },
  { name: "WEB-1", type: "lxc" },
])("where only the parts together fit none, %o, nothing is called unknown", async (filter) => {
  const { text, data } = await server.call("list_guests", filter);
  expect(text).toMatch(/^No guest matches\.\nWithout any filter list_guests shows all/);
  expect(data).not.toHaveProperty("hints");
});
