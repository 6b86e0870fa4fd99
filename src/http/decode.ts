import { promisify } from "node:util";
import { gunzip, inflate, inflateRaw, type ZlibOptions } from "node:zlib";

/** Undoes the content encoding of a body and reads it as UTF-8. Rejects for an unknown one, broken data and more than `maxBytes`. */
export async function decodeBody(
  body: Buffer,
  encoding: string | undefined,
  maxBytes: number,
): Promise<string> {
  const limits: ZlibOptions = { maxOutputLength: maxBytes };
  switch ((encoding ?? "").trim().toLowerCase()) {
    case "":
    case "identity":
      return body.toString("utf8");
    case "gzip":
    case "x-gzip":
      return (await promisify<Buffer, ZlibOptions, Buffer>(gunzip)(body, limits)).toString("utf8");
    case "deflate":
      return (await deflated(body, limits)).toString("utf8");
    default:
      throw new TypeError(`unknown content encoding: ${encoding?.slice(0, 40)}`);
  }
}

/** The name is used for data with and without the zlib header; the low nibble of its first byte is 8 where there is one. */
function deflated(body: Buffer, limits: ZlibOptions): Promise<Buffer> {
  const wrapped = ((body[0] ?? 0) & 0x0f) === 8;
  return promisify<Buffer, ZlibOptions, Buffer>(wrapped ? inflate : inflateRaw)(body, limits);
}
