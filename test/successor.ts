import type { Transport } from "../src/http/transport.ts";
import { type Lab, type LabOptions, lab } from "./kit.ts";

/** Another server on the same cluster, whose time goes on with its own. */
export async function successor(
  { simulator, clock: older }: Lab,
  options: LabOptions = {},
): Promise<Lab> {
  const start = older.now();
  return lab({
    settleMs: 0,
    ...options,
    wire: (_, clock): Transport => {
      const born = clock.now();
      return {
        send: async (request) => {
          const release = clock.hold();
          try {
            const due = start + (clock.now() - born);
            await older.advance(Math.max(0, due - older.now()));
            return await simulator.send(request);
          } finally {
            release();
          }
        },
        close: async () => undefined,
      };
    },
  });
}
