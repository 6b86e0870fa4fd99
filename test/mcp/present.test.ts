import { expect, test } from "vitest";
import { createPresenter, visible } from "../../src/mcp/present.ts";
import { canary } from "./kit.ts";

const presenter = createPresenter({ secrets: [canary], maxStringChars: 60, maxAnswerChars: 200 });

test.each([
  ["colours", "\u001b[1;31mred\u001b[0m", "red"],
  ["8-bit colours", "\u009b31mred", "red"],
  ["a title", "\u001b]0;owned\u0007text", "text"],
  ["a link", "\u001b]8;;https://evil\u001b\\text\u001b]8;;\u001b\\", "text"],
  ["a device string", "\u001bP1$r0m\u001b\\text", "text"],
  ["an escape cut short", "text\u001b[", "text"],
  ["a title never closed", "\u001b]0;hid\nnext", "\nnext"],
  ["control characters", "a\u0000\u0008\u007fb", "ab"],
  ["newlines and tabs, which stay", "a\n\tb", "a\n\tb"],
  ["carriage returns", "a\r\nb\rc\u2028d", "a\nb\nc\nd"],
  ["zero width", "a\u200b\u200c\u200d\u2060\ufeffb\u00ad", "ab"],
  ["bidi controls", "\u202eabc\u202c\u2066d\u2069\u200f\u061c", "abcd"],
  ["tag characters", "a\u{e0049}\u{e0067}\u{e007f}b", "ab"],
  ["variation selectors", "a\ufe0f\u{e0100}b", "ab"],
  ["fillers", "a\u3164\u115f\uffa0b", "ab"],
  ["annotations", "a\ufff9b\ufffac\ufffb", "abc"],
  ["half a character", "a\ud800b", "a\ufffdb"],
  ["letters of other scripts, which stay", "Prüfung 試験 тест 😀", "Prüfung 試験 тест 😀"],
])("%s", (_, raw, clean) => {
  expect(visible(raw)).toBe(clean);
  // Taking something out must not bring something together that was harmless apart.
  expect(visible(visible(raw))).toBe(clean);
});

test("secrets are struck out wherever they stand, hidden by invisible characters or not", () => {
  const hidden = `${canary.slice(0, 9)}\u200b${canary.slice(9)}`;
  expect(presenter.value({ [canary]: [canary, { deep: `x${hidden}y` }] })).toEqual({
    "***": ["***", { deep: "x***y" }],
  });
  expect(presenter.answer(`token ${hidden}`)).toBe("token ***");
  expect(presenter.text(`${"x".repeat(50)}${canary}`)).toBe(`${"x".repeat(50)}***`);
});

test("what looks like a Proxmox credential is struck out even when nobody named it", () => {
  expect(presenter.text("PVEAPIToken=a@pve!b=0123-4567 end")).toBe("PVEAPIToken=a@pve!b=*** end");
  expect(presenter.text("Cookie: PVEAuthCookie=PVE:root@pam:6581ABCD::c2ln")).toBe(
    "Cookie: PVEAuthCookie=***",
  );
  expect(presenter.text("PVE:root@pam:6581ABCD::c2lnbmF0dXJl=")).toBe("***");
});

test.each([
  ["PVEAPIToken==x", "PVEAPIToken==***"],
  ["pveapitoken=a=x", "pveapitoken=a=***"],
  ["PVEAuthCookie=x", "PVEAuthCookie=***"],
  ["csrfpreventiontoken:x", "csrfpreventiontoken:***"],
  ["PVE:ABCDEF01::x", "***"],
  ["pve%3aabcdef01%3a%3ax", "***"],
  [`ABCDEF01:${"x".repeat(43)}`, "***"],
  [`ABCDEF01%3A${"x".repeat(43)}=`, "***"],
  ["-----BEGIN PRIVATE KEY-----", "***"],
])("the shortest of its kind is struck out: %s", (text, clean) => {
  const plain = createPresenter({ secrets: [] });
  expect(plain.text(text)).toBe(clean);
  expect(plain.text(`on pve1 ${text}`)).toBe(`on pve1 ${clean}`);
});

test("what is absent stays absent, and numbers that JSON has not are left out", () => {
  const raw = {
    a: undefined,
    b: null,
    c: Number.NaN,
    d: 0,
    e: "",
    f: [undefined, 1],
    g: 12n,
    h: false,
  };
  expect(presenter.value(raw)).toEqual({ d: 0, e: "", f: [1], g: 12, h: false });
});

test("a field named __proto__ stays a field", () => {
  const value = presenter.value(JSON.parse('{"__proto__": {"admin": true}}'));
  expect(JSON.stringify(value)).toBe('{"__proto__":{"admin":true}}');
  expect(Reflect.get(Object(value), "admin")).toBeUndefined();
});

test("long strings and long answers are cut with a note of what is missing", () => {
  expect(presenter.text("x".repeat(70))).toBe(`${"x".repeat(60)}… (10 more characters)`);
  expect(presenter.text(`${"x".repeat(59)}😀😀`)).toBe(`${"x".repeat(59)}… (4 more characters)`);
  const rows = Array.from({ length: 30 }, (_, row) => `row ${row} ......`).join("\n");
  const answer = presenter.answer(rows);
  expect(answer).toMatch(
    /^row 0 \.{6}\n(?:row \d+ \.{6}\n)+… cut here, \d+ more characters\. Narrow the question/,
  );
  expect(answer.length).toBeLessThan(320);
});
