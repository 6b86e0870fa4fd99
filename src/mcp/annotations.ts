import type { Effect } from "../tool.ts";

/**
 * The hints of a tool, from its effect alone. Only what differs from what the protocol assumes
 * (not read-only, destructive, not idempotent, open world) is said: each word costs every client tokens.
 */
export function annotations(effect: Effect): Readonly<Record<string, boolean>> | undefined {
  switch (effect) {
    case "read":
      return { readOnlyHint: true };
    case "change":
      return { destructiveHint: false };
    case "interrupt":
    case "destroy":
      return undefined;
  }
}

/** Hosts that honour it ask a person before such a call, whatever they were told to allow. */
export function toolMeta(effect: Effect): Readonly<Record<string, unknown>> | undefined {
  return effect === "destroy" ? { "anthropic/requiresUserInteraction": true } : undefined;
}
