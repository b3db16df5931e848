import { describe, expect, it } from "vitest";

import { gapAt, gapCrossed, gapTimes, readGaps, stretch } from "./gaps";

const T = Date.parse("2026-11-21T09:00:00Z");
const GAPS = readGaps([
  { start: "2026-11-21T09:12:00Z", end: "2026-11-21T09:14:00Z", cause: "camera" },
  { start: "2026-11-21T09:20:00Z", end: "2026-11-21T09:20:00.300Z", cause: "network" },
]);
const [LONG, SHORT] = GAPS;

describe("crossing a gap", () => {
  it("is told when playing on jumps over it", () => {
    expect(gapCrossed(GAPS, T + 719_980, T + 840_010)).toBe(LONG);
  });

  it("is told although the playlist's dates are a little off", () => {
    expect(gapCrossed(GAPS, T + 720_300, T + 839_800)).toBe(LONG);
  });

  it("is not told for an ordinary step, nor for one too short to matter", () => {
    expect(gapCrossed(GAPS, T + 700_000, T + 700_040)).toBeNull();
    expect(SHORT).toBeDefined();
    expect(gapCrossed(GAPS, T + 1_199_990, T + 1_200_310)).toBeNull();
  });
});

it("a gap holds its start and not its end", () => {
  expect(gapAt(GAPS, T + 720_000)).toBe(LONG);
  expect(gapAt(GAPS, T + 840_000)).toBeNull();
});

it("is told in minutes when long, in seconds when short", () => {
  const [start, end] = [T + 720_000, T + 840_000];
  expect(gapTimes({ startMs: start, endMs: end, cause: "camera" }, "Europe/Madrid")).toEqual({ from: "10:12", to: "10:14" });
  expect(gapTimes({ startMs: start, endMs: start + 41_000, cause: "camera" }, "Europe/Madrid")).toEqual({
    from: "10:12:00",
    to: "10:12:41",
  });
});

it("is drawn as far as it lies within the match", () => {
  const range = { startMs: 1_000, endMs: 2_000 };
  expect(stretch(500, 1_500, range)).toEqual({ left: 0, width: 0.5 });
  expect(stretch(2_000, 3_000, range)).toBeNull();
});
