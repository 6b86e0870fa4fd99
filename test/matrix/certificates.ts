import { expect } from "vitest";
import { certificate } from "../certificate.ts";
import type { Lab } from "../kit.ts";
import type { Matrix, Seen } from "./scene.ts";

const pems = await certificate("pve2.lab.example");
const custom = { node: "pve2", certificate: pems.cert, key: pems.key };
const order = { node: "pve2", acme: true, wait_s: 300 };
const unlocked = { never: "Proxmox keeps no lock on the certificates of a node" };
const modify = { without: ["Sys.Modify"], on: "/nodes/pve2" };

const shown = ({ world }: Pick<Seen, "world">) => world.nodes.get("pve2")?.certificates.custom;

/** An account, and a domain whose validation fails. */
function invalidDomain({ simulator }: Lab): void {
  const node = simulator.world.nodes.get("pve2");
  if (node) node.config = { acme: "account=default,domains=pve2.example.org" };
  simulator.world.acme = {
    accounts: new Set(["default"]),
    plugins: new Map(),
    issues: new Map(),
    invalid: new Set(["pve2.example.org"]),
    revoked: [],
  };
}

function installed({ simulator }: Lab): void {
  simulator.outside.replaceCertificate("pve2", pems.cert);
}

/** One by ACME that is to be revoked, which the authority can't be asked for. */
async function ordered(server: Lab): Promise<void> {
  invalidDomain(server);
  server.simulator.world.acme?.invalid.clear();
  await server.call("create_certificate", order);
}

export const certificates: Matrix = {
  create_certificate: {
    success: {
      args: custom,
      after: (seen) => expect(shown(seen)).toMatchObject({ cert: `${pems.cert.trim()}\n` }),
    },
    not_found: { args: { ...custom, node: "pve9" } },
    forbidden: { args: custom, ...modify },
    locked: unlocked,
    task_failed: {
      args: order,
      given: invalidDomain,
      after: (seen) => {
        expect(seen.answer.text).toContain("status: invalid");
        expect(shown(seen)).toBeUndefined();
      },
    },
  },
  delete_certificate: {
    success: {
      args: { node: "pve2" },
      given: installed,
      after: (seen) => expect(shown(seen)).toBeUndefined(),
    },
    not_found: { args: { node: "pve9" } },
    forbidden: { args: { node: "pve2" }, given: installed, ...modify },
    locked: unlocked,
    task_failed: {
      args: { node: "pve2", revoke: true },
      given: ordered,
      meanwhile: ({ world }) => void world.acme?.accounts.clear(),
      after: (seen) => expect(shown(seen)).toBeDefined(),
    },
  },
};
