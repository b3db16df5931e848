import { defineConfig } from "vitest/config";

/** Tests that drive a real Chromium against a running server. See browser/README.md. */
export default defineConfig({
  test: {
    environment: "node",
    // One subject a run: a match that was, or a court that is live.
    include: [process.env["TUREPE_LIVE_RTMP"] === undefined ? "browser/watch.test.ts" : "browser/live.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    sequence: { concurrent: false },
    bail: 0,
  },
});
