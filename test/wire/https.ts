import { onTestFinished } from "vitest";
import type { HostTrust, Transport } from "../../src/http/transport.ts";
import { undiciTransport } from "../../src/http/undici-transport.ts";
import type { VirtualClock } from "../../src/simulator/clock.ts";
import { type Listener, listen } from "../../src/simulator/listen.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { selfSigned } from "../certificate.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

export interface HttpsOptions extends LabOptions {
  /** The host's face and the way there, where they are not the plainest. */
  readonly listening?: (simulator: Simulator) => Promise<Face>;
}

interface Face {
  readonly listener: Listener;
  readonly transport: Transport;
}

async function plainly(simulator: Simulator): Promise<Face> {
  const pems = await selfSigned();
  const listener = await listen(simulator, pems);
  return { listener, transport: undiciTransport({ url: listener.url, tls: { ca: pems.cert } }) };
}

/** The lab with real HTTPS between server and simulator: TLS, kept connections and PVE's framing count. */
export function httpsLab({ listening = plainly, ...options }: HttpsOptions = {}): Promise<Lab> {
  return lab({
    ...options,
    wire: async (simulator, clock) => {
      const { listener, transport } = await listening(simulator);
      onTestFinished(() => listener.close());
      return holding(transport, clock);
    },
  });
}

/** The clock stands still while bytes travel: they take real time, and no virtual second may pass meanwhile. */
function holding(transport: Transport, clock: VirtualClock): Transport {
  const held: Held = async (work) => {
    const release = clock.hold();
    try {
      return await work();
    } finally {
      release();
    }
  };
  const { trust } = transport;
  return {
    send: (request) => held(() => transport.send(request)),
    close: () => transport.close(),
    ...(trust && { trust: holdingTrust(trust, held) }),
  };
}

type Held = <T>(work: () => Promise<T>) => Promise<T>;

function holdingTrust(trust: HostTrust, held: Held): HostTrust {
  return {
    ...(trust.ca !== undefined && { ca: trust.ca }),
    insecure: trust.insecure,
    get fingerprints() {
      return trust.fingerprints;
    },
    get seen() {
      return trust.seen;
    },
    accept: (fingerprint) => trust.accept(fingerprint),
    look: () => held(async () => trust.look?.()),
  };
}
