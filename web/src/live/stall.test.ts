import { describe, expect, it } from "vitest";

import { stallWatch, STALLED_AFTER_MS } from "./stall";

describe("a live picture", () => {
  it.each([[0, 40], [7.5, 1_000], [3_600, 500]])("that moved from %d s and stopped is told in time", (fromS, stepMs) => {
    const stalled = stallWatch();
    stalled(fromS, false, 0);
    stalled(fromS + 1, false, stepMs);
    expect(stalled(fromS + 1, false, stepMs + STALLED_AFTER_MS - 1)).toBe(false);
    expect(stalled(fromS + 1, false, stepMs + STALLED_AFTER_MS)).toBe(true);
    expect(stalled(fromS + 1.04, false, stepMs + STALLED_AFTER_MS + 500)).toBe(false);
  });

  it("is not stalled while it is paused, nor just after", () => {
    const stalled = stallWatch();
    stalled(1, false, 0);
    stalled(2, false, 500);
    expect(stalled(2, true, 60_000)).toBe(false);
    expect(stalled(2, false, 60_500)).toBe(false);
  });

  it("is still loading before it ever moved", () => {
    const stalled = stallWatch();
    stalled(0, false, 0);
    expect(stalled(0, false, 60_000)).toBe(false);
  });
});
