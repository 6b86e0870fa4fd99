import { expect, test } from "vitest";
import { encodeMultipart } from "../../src/http/form.ts";

const file = (bytes: string) => ({
  filename: "up.iso",
  length: bytes.length,
  async *open() {
    yield Buffer.from(bytes.slice(0, 3));
    yield Buffer.from(bytes.slice(3));
  },
});

async function read(stream: { open(): AsyncIterable<Uint8Array> }): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream.open()) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

test("a file goes last, behind the parameters in their order, and the length is that of the whole", async () => {
  const params = { content: "iso", "checksum-algorithm": "md5", checksum: "ab", absent: undefined };
  const { type, stream } = encodeMultipart(params, file("12345678"), "xx");
  const body = await read(stream);
  expect(type).toBe("multipart/form-data; boundary=xx");
  expect(body.split("\r\n")).toEqual([
    "--xx",
    'Content-Disposition: form-data; name="content"',
    "",
    "iso",
    "--xx",
    'Content-Disposition: form-data; name="checksum-algorithm"',
    "",
    "md5",
    "--xx",
    'Content-Disposition: form-data; name="checksum"',
    "",
    "ab",
    "--xx",
    'Content-Disposition: form-data; name="filename"; filename="up.iso"',
    "Content-Type: application/octet-stream",
    "",
    "12345678",
    "--xx--",
    "",
  ]);
  expect(stream.length).toBe(Buffer.byteLength(body));
  expect(await read(stream), "each reading begins anew").toBe(body);
});

test("no two bodies have the same boundary", () => {
  const types = [1, 2].map(() => encodeMultipart({}, file("12345678")).type);
  expect(new Set(types).size).toBe(2);
});

test.each([
  ["a quote in the name", {}, 'x".iso'],
  ["a line in the name", {}, "x\r\n.iso"],
  ["a line in a value", { content: "iso\r\n--xx" }, "x.iso"],
])("%s would break the frame", (_, params, filename) => {
  expect(() => encodeMultipart(params, { ...file("12345678"), filename })).toThrow(TypeError);
});
