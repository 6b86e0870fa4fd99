import { X509Certificate } from "node:crypto";
import process from "node:process";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { adminToken } from "../../src/simulator/demo-credentials.ts";
import { listen } from "../../src/simulator/listen.ts";
import { Simulator } from "../../src/simulator/simulator.ts";
import { certificate, selfSigned } from "../certificate.ts";

/**
 * The node pve1 behind HTTPS with the certificate of its own, in a process of its own and with a clock that stands still. Its
 * parent gets address, credentials and three certificates as the first message; then it says what shall happen, and each time
 * gets how many requests and connections there were so far.
 */
const node = "pve1";
const clock = new VirtualClock();
const simulator = new Simulator({ clock });
const [own, next, stranger] = await Promise.all([
  selfSigned(),
  certificate(node, {
    names: [node, "127.0.0.1"],
    from: new Date(Date.now() - 86_400_000),
    until: new Date(Date.now() + 90 * 86_400_000),
  }),
  selfSigned("stranger"),
]);
const listener = await listen(simulator, { ...own, node });
const files = simulator.world.nodes.get(node)?.certificates;
if (!files) throw new Error(`no node ${node}`);
let shown = files.loaded;

const happen: Readonly<Record<string, () => Promise<void> | void>> = {
  nothing: () => undefined,
  "hang up": () => listener.hangUp(),
  "time passes": () => clock.advance(10_000),
  "another host answers": () => {
    shown = files.loaded;
    files.loaded = stranger;
    listener.hangUp();
  },
  "it answers again": () => {
    files.loaded = shown;
    listener.hangUp();
  },
};

process.on("message", (what: string) => {
  void Promise.resolve(happen[what]?.()).then(() =>
    process.send?.({ requests: simulator.log.mark(), connections: listener.connections }),
  );
});
process.on("disconnect", () => process.exit(0));
const described = (pems: typeof own) => ({
  ...pems,
  fingerprint: new X509Certificate(pems.cert).fingerprint256,
});
process.send?.({
  url: listener.url,
  tokenId: adminToken.tokenId,
  secret: adminToken.secret,
  own: described(own),
  next: described(next),
  stranger: described(stranger),
});
