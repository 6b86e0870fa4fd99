import process from "node:process";

// Loaded before the server, to tell at its end how much memory it has had at most.
process.on("exit", () => {
  process.stderr.write(`\npeak rss ${process.resourceUsage().maxRSS} KiB\n`);
});
