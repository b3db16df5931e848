import { defineConfig } from "vitest/config";

/** Tests that drive a real Chromium against a running server. See browser/README.md. */
export default defineConfig({
  test: {
    environment: "node",
    // One subject a run, named on the command line: a match that was, one in a bucket, or a court that is live.
    include: ["browser/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    sequence: { concurrent: false },
    bail: 0,
  },
});
