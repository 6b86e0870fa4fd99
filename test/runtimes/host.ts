import { X509Certificate } from "node:crypto";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../src/clock.ts";
import { adminToken } from "../../src/simulator/demo-credentials.ts";
import { listen } from "../../src/simulator/listen.ts";
import { Simulator } from "../../src/simulator/simulator.ts";
import { selfSigned } from "../certificate.ts";

/**
 * A simulated Proxmox host behind HTTPS, in a process of its own. Its parent gets the address and the credentials as the first
 * message, and what was requested so far in answer to any message.
 */
const start = Date.now();
/** The cluster lives faster than its visitors, so that a clone takes two seconds. */
const pace = 20;
const clock: Clock = {
  now: () => start + (Date.now() - start) * pace,
  sleep: (ms, { signal, background = false } = {}) =>
    sleep(ms / pace, undefined, { ref: !background, ...(signal && { signal }) }),
};
const simulator = new Simulator({ clock });
const pems = await selfSigned();
const listener = await listen(simulator, pems);

process.on("message", () => process.send?.(simulator.log.paths()));
process.on("disconnect", () => process.exit(0));
process.send?.({
  url: listener.url,
  cert: pems.cert,
  fingerprint: new X509Certificate(pems.cert).fingerprint256,
  tokenId: adminToken.tokenId,
  secret: adminToken.secret,
});
