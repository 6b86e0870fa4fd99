import { path } from "../../http/path.ts";
import type { Call } from "../api/call.ts";
import { records, text } from "../api/values.ts";
import type { Params, Verbs } from "../api/verbs.ts";
import { pendingQuestion } from "../guests/guest-details.ts";
import type { Identified } from "../guests/identity.ts";
import type { Plan } from "../tasks/plan.ts";

/**
 * One change of a configuration, with the digest of what was read a moment ago. A VM's is a task; a container's is done when it is answered.
 * PVE: POST /nodes/{node}/qemu/{vmid}/config, PUT /nodes/{node}/lxc/{vmid}/config
 */
export function configChange(
  { type, node, vmid, config }: Identified,
  params: Params,
  secrets: readonly string[] = [],
): Pick<Plan, "request" | "synchronous"> {
  return {
    synchronous: type === "lxc",
    request: {
      method: type === "qemu" ? "POST" : "PUT",
      path: path`/nodes/${node}/${type}/${vmid}/config`,
      params: { ...params, digest: config.digest },
      ...(secrets.length > 0 && { secrets }),
    },
  };
}

/** Options of a guest that wait for a restart, asked now. */
export async function pendingKeys(
  guest: Identified,
  verbs: Verbs,
  call: Call,
): Promise<readonly string[]> {
  const answer = await verbs.live(call, pendingQuestion(guest));
  return records(answer).flatMap((row) => text(row["key"]) ?? []);
}
