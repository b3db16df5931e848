import { describe, expect, it } from "vitest";

import { buildSpans, edge, mediaRangesToWall, mediaToWall, wallToPosition } from "./timeline";

const T = Date.parse("2026-11-21T09:00:00Z");
/** 10 s, a gap of 120 s, 6 s. */
const SPANS = buildSpans([
  { mediaStart: 0, duration: 4, wallStartMs: T },
  { mediaStart: 4, duration: 6, wallStartMs: T + 4_000 },
  { mediaStart: 10, duration: 6, wallStartMs: T + 130_000 },
]);

describe("spans", () => {
  it("join what follows without a break and part at a gap", () => {
    expect(SPANS).toEqual([
      { mediaStart: 0, mediaEnd: 10, wallStartMs: T, wallEndMs: T + 10_000 },
      { mediaStart: 10, mediaEnd: 16, wallStartMs: T + 130_000, wallEndMs: T + 136_000 },
    ]);
    expect(edge(SPANS)).toBe(T + 136_000);
    expect(edge([])).toBeNull();
  });

  it("do not let rounding in the playlist add up to a drift", () => {
    const fragments = Array.from({ length: 1_000 }, (_, index) => ({
      mediaStart: index * 2.002,
      duration: 2.002,
      wallStartMs: T + Math.round(index * 2_010),
    }));
    // 8 ms too late a fragment: within a frame each, 8 s over the whole match.
    const spans = buildSpans(fragments);
    const last = fragments.at(-1);
    expect(mediaToWall(spans, last?.mediaStart ?? 0)).toBeCloseTo(last?.wallStartMs ?? 0, -2);
  });
});

describe("wall time to media time", () => {
  it.each([
    ["before the beginning", T - 5_000, 0, T],
    ["within a run", T + 7_500, 7.5, T + 7_500],
    ["in the gap: where the picture comes back", T + 60_000, 10, T + 130_000],
    ["after the gap", T + 131_000, 11, T + 131_000],
    ["after the end", T + 999_000, 16, T + 136_000],
  ])("%s", (_, wallMs, media, landsMs) => {
    expect(wallToPosition(SPANS, wallMs)).toEqual({ media, wallMs: landsMs });
  });

  it("knows no place without footage", () => {
    expect(wallToPosition([], T)).toBeNull();
    expect(mediaToWall([], 3)).toBeNull();
  });

  it("goes there and back again", () => {
    for (let media = 0; media < 16; media += 0.04) {
      const wallMs = mediaToWall(SPANS, media) ?? 0;
      expect(wallToPosition(SPANS, wallMs)?.media).toBeCloseTo(media, 6);
    }
  });
});

it("buffered media over a gap is two stretches of wall time", () => {
  expect(mediaRangesToWall(SPANS, [[8, 12]])).toEqual([
    [T + 8_000, T + 10_000],
    [T + 130_000, T + 132_000],
  ]);
});
