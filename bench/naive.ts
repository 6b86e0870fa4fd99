import type { Transport } from "../src/http/transport.ts";
import { adminToken, authorization } from "../src/simulator/demo-credentials.ts";

interface Row {
  readonly type: string;
  readonly name?: string;
  readonly node: string;
  readonly vmid: number;
}

/** A client as they are commonly written: it looks for the guest in the whole list, each time, and then asks for its state and configuration. */
export class NaiveClient {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async getVm(name: string): Promise<Readonly<Record<string, unknown>>> {
    const rows = (await this.#get("/cluster/resources?type=vm")) as readonly Row[];
    const row = rows.find((one) => one.type === "qemu" && one.name === name);
    if (!row) throw new Error(`no VM ${name}`);
    const at = `/nodes/${row.node}/qemu/${row.vmid}`;
    const status = (await this.#get(`${at}/status/current`)) as object;
    const config = (await this.#get(`${at}/config`)) as object;
    return { ...row, ...status, config };
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #get(path: string): Promise<unknown> {
    const { status, reason, body } = await this.#transport.send({
      method: "GET",
      path: `/api2/json${path}`,
      headers: { authorization: authorization(adminToken) },
    });
    if (status !== 200) throw new Error(`${status} ${reason}`);
    return (JSON.parse(body) as { readonly data: unknown }).data;
  }
}
