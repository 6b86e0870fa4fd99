import type { Transport } from "../../src/http/transport.ts";
import { undiciTransport } from "../../src/http/undici-transport.ts";
import type { VirtualClock } from "../../src/simulator/clock.ts";
import { type Listener, listen } from "../../src/simulator/listen.ts";
import { selfSigned } from "../certificate.ts";
import { type LabOptions, lab } from "../kit.ts";

/** The lab with real HTTPS between server and simulator: TLS, kept connections and PVE's framing count. */
export async function httpsLab(options: LabOptions = {}) {
  const pems = await selfSigned();
  const listeners: Listener[] = [];
  const inner = await lab({
    ...options,
    wire: async (simulator, clock) => {
      const listener = await listen(simulator, pems);
      listeners.push(listener);
      return holding(undiciTransport({ url: listener.url, tls: { ca: pems.cert } }), clock);
    },
  });
  const close = async () => {
    await inner.close();
    for (const listener of listeners) await listener.close();
  };
  return { ...inner, close };
}

/** The clock stands still while bytes travel: they take real time, and no virtual second may pass meanwhile. */
function holding(transport: Transport, clock: VirtualClock): Transport {
  return {
    send: async (request) => {
      const release = clock.hold();
      try {
        return await transport.send(request);
      } finally {
        release();
      }
    },
    close: () => transport.close(),
  };
}
