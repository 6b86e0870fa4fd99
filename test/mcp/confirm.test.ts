import { expect, test } from "vitest";
import { confirmByArgument } from "../../src/guard/confirm.ts";
import { Problem } from "../../src/problem.ts";

const question = {
  subject: "VM 101 (web-1) on pve1",
  expected: "web-1",
  lost: ["disk local-lvm:vm-101-disk-0 (32 GiB)", "3 snapshots"],
};

function refusal(given: string | undefined, more: Partial<typeof question> = {}): Problem {
  try {
    confirmByArgument({ ...question, ...more, given });
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error("not refused");
}

test("the exact word confirms, and nothing else does", () => {
  expect(() => confirmByArgument({ ...question, given: "web-1" })).not.toThrow();
  for (const given of ["", "web-10", "WEB-1", " web-1", "101", "yes"]) {
    const problem = refusal(given);
    expect(problem.kind).toBe("confirmation_required");
    expect(problem.message).toContain(`The given confirm "${given.trim()}" does not match.`);
  }
});

test("the first refusal says what will be lost and what to repeat", () => {
  const problem = refusal(undefined);
  expect(problem.message).toBe(
    "VM 101 (web-1) on pve1 was left as it is, because this cannot be undone. " +
      "Lost for good: disk local-lvm:vm-101-disk-0 (32 GiB); 3 snapshots.",
  );
  expect(problem.next).toContain('confirm: "web-1"');
  expect(problem.facts).toEqual({
    subject: question.subject,
    confirm: "web-1",
    lost: question.lost,
  });
});

test("a long list of losses is told in part, and how much more there is", () => {
  const lost = Array.from({ length: 25 }, (_, index) => `disk ${index}`);
  expect(refusal(undefined, { lost }).message).toMatch(/disk 19; and 5 more things\.$/);
});

test("nothing can be confirmed by an empty word", () => {
  expect(() => confirmByArgument({ ...question, expected: " ", given: " " })).toThrow(
    "nothing to confirm by",
  );
});
