import type { Refuse } from "./credentials.ts";
import { type Age, type AgeKind, type Ages, defaultAges } from "./proxmox/api/freshness.ts";
import { list, oneLine } from "./text.ts";

const maxS = 3_600;

/** What can be set: neither what always changes nor what never does. */
export const ageKinds: readonly AgeKind[] = (Object.keys(defaultAges) as AgeKind[]).filter(
  (kind) => kind !== "never" && kind !== "stoppedTask",
);

/** `inventory=5,guestConfig=10/300`: seconds trusted, and after a slash seconds kept; what is not named stays as it is. */
export function readAges(raw: string, refuse: Refuse): Ages {
  const ages: Record<AgeKind, Age> = { ...defaultAges };
  const named = new Set<string>();
  for (const item of list(raw)) {
    const [name = "", figures = ""] = item.split(/=(.*)/su);
    const kind = ageKinds.find((known) => known === name);
    const shown = oneLine(name, 40);
    if (kind === undefined)
      refuse(`--ages: there is no age ${shown}. There are ${ageKinds.join(", ")}.`);
    else if (named.has(kind)) refuse(`--ages: ${kind} is set twice.`);
    else ages[kind] = readAge(kind, figures, refuse) ?? ages[kind];
    named.add(name);
  }
  return ages;
}

/** One figure is how long it is trusted; it is kept for as long as before, or as long as that. */
function readAge(kind: AgeKind, figures: string, refuse: Refuse): Age | undefined {
  const [, first, second] = /^([0-9]{1,4})(?:\/([0-9]{1,4}))?$/u.exec(figures) ?? [];
  const age = defaultAges[kind];
  const trustedMs = Number(first) * 1000;
  const keptMs = second === undefined ? Math.max(trustedMs, age.keptMs) : Number(second) * 1000;
  if (first === undefined || keptMs > maxS * 1000)
    return refuse(
      `--ages: ${kind} needs whole seconds from 0 to ${maxS}, trusted or trusted/kept, such as ${kind}=10/120.`,
    );
  if (trustedMs > keptMs)
    return refuse(`--ages: ${kind} cannot be trusted for longer than it is kept (trusted/kept).`);
  return { ...age, trustedMs, keptMs };
}
