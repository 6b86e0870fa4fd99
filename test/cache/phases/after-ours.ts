import { laggingS } from "../../../bench/promised.ts";
import { Call } from "../../../src/proxmox/api/call.ts";
import type { Changed } from "../../../src/proxmox/guests/changes.ts";
import type { Lab } from "../../kit.ts";
import { listed, looked, sought, word } from "./changes.ts";
import type { OutsideChange } from "./watch.ts";

/** What others do to guests that we have just changed or looked at: what we know of them does not make it last longer. */
export function afterOurs(server: Lab): readonly OutsideChange[] {
  return [750, 760, 770].flatMap((first, lane) => {
    const node = `pve${lane + 1}`;
    return [...switched(server, first, node), ...renamed(server, first + 5, node)];
  });
}

function switched({ simulator, proxmox }: Lab, first: number, node: string) {
  const { outside, world } = simulator;
  const runs = (vmid: number) => world.guests.get(vmid)?.run.status === "running";
  const start = (vmid: number) => () =>
    done(proxmox.power.start(String(vmid), new Call(), { dryRun: false }));
  const stop = (vmid: number) => () =>
    done(proxmox.power.stop(String(vmid), new Call(), { dryRun: false, mode: "stop" }));
  const views = (vmid: number, before: string) => [
    listed(vmid, laggingS, (row) => row?.status === before),
    looked(vmid, laggingS, (seen) => seen?.["status"] === before),
  ];
  const [stopped, off, started] = [first, first + 1, first + 2] as const;
  for (const vmid of [stopped, off, started]) outside.create({ vmid, name: `ours-${vmid}`, node });
  outside.start(started);
  const restMs = 30_000;
  return [
    {
      says: "stops a VM that we have started",
      ours: start(stopped),
      change: () => void outside.stop(stopped),
      hasHappened: () => !runs(stopped),
      restMs,
      views: views(stopped, "running"),
    },
    {
      says: "lets a guest that we have started switch itself off",
      ours: start(off),
      change: () => outside.powerOff(off),
      restMs,
      views: views(off, "running"),
    },
    {
      says: "starts a VM that we have stopped",
      ours: stop(started),
      change: () => void outside.start(started),
      hasHappened: () => runs(started),
      restMs,
      views: views(started, "stopped"),
    },
  ];
}

function renamed({ simulator: { outside }, proxmox }: Lab, vmid: number, node: string) {
  const name = (round: number) => word(`renamed-${vmid}`, round);
  outside.create({ vmid, name: name(0), node });
  return [
    {
      says: "renames a VM that we have looked at",
      ours: () => proxmox.guests.view(String(vmid), "any", new Call()),
      change: (round: number) => outside.rename(vmid, name(round)),
      views: [
        listed(vmid, laggingS, (row, round) => row?.name !== name(round)),
        sought(vmid, name),
      ],
    },
  ];
}

/** As an agent that waits for the end. */
async function done(change: Promise<Changed<unknown>>): Promise<void> {
  const { task } = await change;
  await task?.settle({ timeoutMs: 60_000 });
}
