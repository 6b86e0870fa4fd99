import { authority, describe, type NodeCertificates, restartProxy } from "../certificates.ts";
import type { Format } from "../formats.ts";
import { badParameters, died } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";

const flag = { type: "boolean", optional: true } as const;

/** PVE::API2::Certificates. */
export function certificateRoutes(): Route[] {
  const custom = "/nodes/{node}/certificates/custom";
  const permission = needs("/nodes/{node}", "Sys.Modify");
  return [
    {
      method: "GET",
      path: "/nodes/{node}/certificates",
      local: true,
      handle: () => ["acme", "custom", "info"].map((name) => ({ name })),
    },
    { method: "GET", path: "/nodes/{node}/certificates/info", handle: info },
    {
      method: "POST",
      path: custom,
      permission,
      parameters: {
        certificates: { type: "string", format: pem("CERTIFICATE", true) },
        key: { type: "string", optional: true, format: pem("[A-Z0-9 ]+", false) },
        force: flag,
        restart: flag,
      },
      handle: upload,
    },
    { method: "DELETE", path: custom, permission, parameters: { restart: flag }, handle: remove },
  ];
}

/** The formats pem-string and pem-certificate-chain: only the frame is looked at. PVE: pve-common src/PVE/Certificate.pm check_pem */
function pem(label: string, several: boolean): Format {
  const one = `-----BEGIN ${label}-----\\s+(?:[A-Za-z0-9+/]+\\s*)*={0,2}\\s*-----END ${label}-----\\s*`;
  const whole = new RegExp(`^(?:${one})${several ? "+" : ""}$`);
  return (value) => (whole.test(value) ? undefined : "not a valid PEM-formatted string.\n");
}

function filesOf({ cluster, values }: Call): NodeCertificates {
  const node = cluster.world.nodes.get(values["node"] ?? "");
  if (!node) throw died(`no such cluster node '${values["node"]}'`);
  return node.certificates;
}

/** GET …/info: what can be read; a broken file is left out. */
function info(call: Call): unknown[] {
  const { own, custom } = filesOf(call);
  return [authority, own.info, custom?.info].filter((file) => file !== undefined);
}

/** POST …/custom: whether the key fits is not asked, and what cannot be read stays where it was written. PVE: CertHelpers.pm set_cert_files */
function upload(call: Call): unknown {
  const { values } = call;
  const files = filesOf(call);
  const { certificates: cert = "", key = files.custom?.key } = values;
  if (key === undefined) {
    throw badParameters({ key: "Attempted to upload custom certificate without (existing) key." });
  }
  if (files.custom && values["force"] !== "1") {
    throw died("Custom certificate file exists but force flag is not set.\n\n");
  }
  const described = describe(cert, "pveproxy-ssl.pem");
  files.custom = { cert, key, ...(described && { info: described }) };
  if (!described) {
    const file = `/etc/pve/nodes/${values["node"]}/pveproxy-ssl.pem`;
    throw died(`Setting certificate files failed - unable to read certificate from '${file}'\n\n`);
  }
  restart(call, files);
  return described;
}

/** DELETE …/custom: what is not there is removed all the same. */
function remove(call: Call): null {
  const files = filesOf(call);
  files.custom = undefined;
  restart(call, files);
  return null;
}

function restart({ cluster, values }: Call, files: NodeCertificates): void {
  if (values["restart"] !== "1") return;
  restartProxy(files, (ms, run) => cluster.events.schedule(cluster.now + ms, run));
}
