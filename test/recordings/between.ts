import type { Simulator } from "../../src/simulator/simulator.ts";
import { addGuest, addToken } from "../../src/simulator/world-builder.ts";
import type { Between } from "./replay.ts";

function lock(simulator: Simulator, vmid: number, name: string | undefined): void {
  simulator.outside.setConfig(vmid, { lock: name });
}

function enable({ world }: Simulator, id: string, enabled: boolean): void {
  const user = world.users.get(id);
  if (user) user.enabled = enabled;
}

/** What was done to the recorded host between two recordings without being recorded; keys: before which one. */
export const between: Between = {
  143: ({ world }) => {
    const guest = world.guests.get(150);
    if (guest) guest.traits.agent = true;
  },
  196: (simulator) => lock(simulator, 150, "backup"),
  206: (simulator) => lock(simulator, 150, undefined),
  255: ({ outside }) => {
    for (const vmid of [150, 154]) outside.destroy(vmid);
  },
  320: ({ world }) => {
    const node = world.nodes.get("pve");
    if (node) node.certificates.custom = undefined;
  },
  450: ({ world }) => {
    addToken(world, { id: "alice@pve!old", secret: "<TOKEN-SECRET alice@pve!old>" });
    const old = world.users.get("alice@pve")?.tokens.get("old");
    if (old) old.expire = 1;
  },
  451: (simulator) => enable(simulator, "alice@pve", false),
  453: (simulator) => enable(simulator, "alice@pve", true),
  478: ({ world }) => {
    const config = { scsi0: "local:170/vm-170-disk-0.qcow2,size=1G" };
    addGuest(world, { vmid: 170, name: "source", node: "pve", config });
  },
};
