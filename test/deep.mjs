// The property tests with fifty times as many runs as in CI; the same command in every shell.
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const { status } = spawnSync(
  process.execPath,
  [vitest, "run", "--dir", "test", "interleavings", "cache/lives", ...process.argv.slice(2)],
  { stdio: "inherit", env: { ...process.env, DEEP: "1" } },
);
process.exitCode = status ?? 1;
