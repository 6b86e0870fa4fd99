import type { Arguments, Dice } from "./mutations.ts";

const nodes = ["pve1", "pve2", "pve3"];
const node = "/nodes/pve[123]";

function maybe<T>(dice: Dice, key: string, items: readonly T[]): Record<string, T> {
  return dice.chance(0.4) ? { [key]: dice.pick(items) } : {};
}

const changing = (dice: Dice) => ({
  ...maybe(dice, "wait_s", [0, 1, 45]),
  ...maybe(dice, "dry_run", [true, true, false]),
});

/** A task that ended long ago, where there is no other. */
const past = "UPID:pve1:0000FFFF:000007E8:69565AC0:qmstart:101:root@pam:";

/** Valid calls of the tools of files, figures and tasks. */
export const usageCalls: Readonly<
  Record<string, (dice: Dice, upids: readonly string[]) => Arguments>
> = {
  upload_storage: (dice) => ({
    storage: "nfs-shared",
    file: "uses.ts",
    filename: `disc-${dice.below(50)}.iso`,
    content: "iso",
    ...maybe(dice, "node", nodes),
    ...maybe(dice, "overwrite", [true, false]),
    ...changing(dice),
  }),
  get_metrics: (dice) => ({
    ...dice.pick<Arguments>([
      { guest: dice.pick(["web-1", 201, "lxc/203"]) },
      { node: dice.pick(nodes) },
      { storage: "nfs-shared" },
      { storage: "local", node: dice.pick(nodes) },
    ]),
    ...maybe(dice, "timeframe", ["hour", "day", "week", "month", "year"]),
    ...maybe(dice, "max_age_s", [0, 5, 60]),
  }),
  stop_task: (dice, upids) => ({
    upid: upids.length > 0 ? dice.pick(upids) : past,
    ...changing(dice),
  }),
};

const files = "(?:custom|acme/certificate)";
const certificateReads = [
  "GET /cluster/(?:status|acme/account|acme/plugins)",
  `GET ${node}/(?:certificates/info|config)`,
];

/** The requests that each of them, and those of certificates, may make besides the common ones. */
export const usageRoutes: Readonly<Record<string, readonly string[]>> = {
  upload_storage: [
    "GET /storage",
    `GET ${node}/storage/[a-z-]+/(?:content|status)`,
    "GET /nodes/pve[123]/(?:qemu|lxc)/[0-9]+/(?:snapshot|snapshot/[^/]+/config)",
    `POST ${node}/storage/[a-z-]+/upload`,
  ],
  list_certificates: certificateReads,
  create_certificate: [...certificateReads, `(?:POST|PUT) ${node}/certificates/${files}`],
  delete_certificate: [...certificateReads, `DELETE ${node}/certificates/${files}`],
  get_metrics: ["GET /storage", `GET ${node}(?:/(?:qemu|lxc|storage)/[a-z0-9-]+)?/rrddata`],
  stop_task: ["(?:GET|DELETE) /nodes/pve[1239]/tasks/UPID:[^/]+(?:/status|/log)?"],
};
