import { Problem } from "../../problem.ts";

/** What of an order decides about features. */
export interface FeatureWish {
  readonly unprivileged: boolean;
  /** Absent: as PVE's own interface has it, with nesting where the container is unprivileged. */
  readonly nesting?: boolean | undefined;
  /** More of them, such as `keyctl` or `mount=nfs`. */
  readonly features?: readonly string[] | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
}

/** PVE: LXC/Config.pm, features */
const switches = ["nesting", "keyctl", "fuse", "mknod", "force_rw_sys"];

/**
 * As PVE writes them: a bare name switches one on, the last of a kind wins, and those among the options stand for all. Throws
 * `invalid_input` for what is no feature.
 */
export function featuresOf({
  unprivileged,
  nesting = unprivileged,
  features = [],
  options: { features: instead } = {},
}: FeatureWish): string | undefined {
  const all = new Map(nesting && instead === undefined ? [["nesting", "1"]] : []);
  const given = instead === undefined ? features : [instead];
  for (const piece of given.flatMap((text) => text.split(","))) {
    const [, name = "", value] = /^\s*([^=\s]*)\s*(?:=\s*(.*?)\s*)?$/s.exec(piece) ?? [];
    const set = value ?? (switches.includes(name) ? "1" : "");
    if (set === "" || ![...switches, "mount"].includes(name)) throw unknown(piece);
    all.set(name, set);
  }
  return all.size === 0 ? undefined : [...all].map((pair) => pair.join("=")).join(",");
}

/** What PVE grants no token, not even one of root's. PVE: LXC.pm (check_ct_modify_config_perm) */
export function rootOnly(
  { unprivileged }: FeatureWish,
  features: string | undefined,
  principal: string,
): readonly Problem[] {
  const all = features?.split(",") ?? [];
  const kept = unprivileged ? all.filter((feature) => !feature.startsWith("nesting=")) : all;
  if (kept.length === 0 || principal.split(" ").includes("root@pam")) return [];
  const message = `features ${kept.join(",")} can be set by root@pam with its password only, not by ${principal}.`;
  return [
    new Problem("forbidden", message, {
      next: "Leave them out (nesting: false for a privileged container), or set them on the host with pct set.",
      facts: { argument: "features" },
    }),
  ];
}

function unknown(piece: string): Problem {
  const message = `features: "${piece.slice(0, 60)}" is no feature of a container. Nothing was sent.`;
  return new Problem("invalid_input", message, {
    next: `Use ${switches.join(", ")} (a bare name, or =1 or =0), or mount=nfs;cifs.`,
    facts: { argument: "features" },
  });
}
