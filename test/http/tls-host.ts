import { X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Certificate } from "../certificate.ts";

/** Writes the answer to one chunk that came in, or does worse. */
export type Reaction = (request: string, socket: TLSSocket) => void;

/** A TLS server that speaks only as a test tells it to, and keeps what it was sent chunk by chunk. */
export class TlsHost {
  readonly chunks: string[] = [];
  connections = 0;
  readonly fingerprint: string;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();

  constructor(certificate: Certificate, react: Reaction) {
    this.fingerprint = new X509Certificate(certificate.cert).fingerprint256;
    this.#server = createServer(certificate, (socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on("error", () => undefined); // clients of these tests break off on purpose
      socket.on("data", (data) => {
        this.chunks.push(data.toString());
        react(data.toString(), socket);
      });
    });
    this.#server.on("tlsClientError", () => undefined); // as is a refused certificate
  }

  /** Resolves to its URL. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends every connection from this side, and resolves when they are closed. */
  async hangUp(): Promise<void> {
    const sockets = [...this.#sockets].filter((socket) => !socket.destroyed);
    await Promise.all(
      sockets.map(
        (socket) =>
          new Promise<void>((resolve) => {
            socket.once("close", () => resolve());
            socket.end();
          }),
      ),
    );
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A whole HTTP answer with its length. */
export function http(status: string, body: string | Buffer, headers = ""): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status}\r\n${headers}content-length: ${bytes.length}\r\n\r\n`),
    bytes,
  ]);
}
