import { describe, expect, it } from "vitest";

import { DEFAULT_FRAME_S, frameDuration, frameStep } from "./frames";
import type { Gap } from "./gaps";
import { fileTimes, type Match } from "./match";
import { momentToInstant } from "./moment";
import { readPlaylist, viaNode } from "./playlist";
import { MAX_NETWORK_ATTEMPTS, MAX_RENEWALS, NO_ATTEMPTS, recover, type Action, type Trouble } from "./recovery";
import { neighbourSpeed } from "./speed";
import { buildSpans } from "./timeline";

describe("a shared moment", () => {
  const start = Date.parse("2026-11-21T22:30:00Z"); // 23:30 in Madrid
  const end = start + 90 * 60_000;

  it("is a time of day within the match, past midnight too", () => {
    expect(momentToInstant("23:45:10", start, end, "Europe/Madrid")).toBe(start + 910_000);
    expect(momentToInstant("00:15:00", start, end, "Europe/Madrid")).toBe(start + 45 * 60_000);
    expect(momentToInstant("23:30:00", start, end, "Europe/Madrid")).toBe(start);
  });

  it("is nothing when it is no time or not of this match", () => {
    for (const moment of ["23:29:59", "01:00:00", "25:00:00", "12:00", "soon", ""]) {
      expect(momentToInstant(moment, start, end, "Europe/Madrid")).toBeNull();
    }
  });

  it("is right after the clocks have changed during the match", () => {
    // 2026-03-29 in Madrid: from 01:59:59 to 03:00:00.
    const spring = Date.parse("2026-03-29T00:30:00Z");
    expect(momentToInstant("03:10:00", spring, spring + 5_400_000, "Europe/Madrid")).toBe(spring + 40 * 60_000);
    expect(momentToInstant("02:10:00", spring, spring + 5_400_000, "Europe/Madrid")).toBeNull();
  });
});

describe("recovery", () => {
  const run = (trouble: Trouble, times: number, isOnline = true, isDetour = true): readonly Action[] => {
    let attempts = NO_ATTEMPTS;
    return Array.from({ length: times }, () => {
      const step = recover(attempts, trouble, { isOnline, isDetour, hasFile: false, isFile: false });
      attempts = step.attempts;
      return step.action;
    });
  };

  it("tries the network again, more and more slowly, then says so", () => {
    const actions = run("network", MAX_NETWORK_ATTEMPTS + 1, true, false);
    const delays = actions.flatMap((action) => (action.do === "retry" ? [action.afterMs] : []));
    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    expect(actions.at(-1)).toEqual({ do: "giveUp", failure: "network" });
  });

  it("waits without counting while there is no network at all", () => {
    expect(new Set(run("network", 50, false).map((action) => action.do))).toEqual(new Set(["waitForNetwork"]));
  });

  it("mends the decoder once, then starts over, then gives up", () => {
    const actions = run("media", MAX_RENEWALS + 2).map((action) => action.do);
    expect(actions).toEqual(["recoverMedia", "renew", "renew", "renew", "giveUp"]);
  });

  it("asks the node for footage that the bucket does not give", () => {
    const first = recover(NO_ATTEMPTS, "unreached", { isOnline: true, isDetour: false, hasFile: true, isFile: false });
    expect(first.action).toEqual({ do: "retry", afterMs: 1_000 });
    const second = recover(first.attempts, "unreached", { isOnline: true, isDetour: false, hasFile: true, isFile: false });
    expect(second.action).toEqual({ do: "detour" });
    // The footage does not come from the node either: tried again there, and not without end.
    expect(run("unreached", MAX_NETWORK_ATTEMPTS + 1).map((action) => action.do)).toEqual([
      ...Array.from({ length: MAX_NETWORK_ATTEMPTS }, () => "retry"),
      "giveUp",
    ]);
  });

  it("plays a match as a file, and says where the browser cannot do that either", () => {
    const facts = { isOnline: true, isDetour: false, hasFile: true, isFile: false };
    const { action } = recover(NO_ATTEMPTS, "unstartable", facts);
    expect(action).toEqual({ do: "playFile" });
    const file = { ...facts, isFile: true };
    const first = recover(NO_ATTEMPTS, "media", file);
    expect(first.action).toEqual({ do: "recoverMedia" });
    expect(recover(first.attempts, "media", file).action).toEqual({ do: "giveUp", failure: "unsupported" });
    expect(recover(NO_ATTEMPTS, "unstartable", file).action).toEqual({ do: "giveUp", failure: "playback" });
    expect(recover(NO_ATTEMPTS, "unstartable", { ...facts, hasFile: false }).action).toEqual({ do: "giveUp", failure: "playback" });
  });

  it("goes back to the bucket when it was the network", () => {
    const away = recover({ ...NO_ATTEMPTS, network: 2 }, "network", { isOnline: true, isDetour: true, hasFile: true, isFile: false });
    expect(away.action).toEqual({ do: "return", afterMs: 4_000 });
    // There and back again counts: it ends.
    let attempts = NO_ATTEMPTS;
    let isDetour = false;
    const done: string[] = [];
    while (done.at(-1) !== "giveUp" && done.length < 50) {
      const step = recover(attempts, isDetour ? "network" : "unreached", { isOnline: true, isDetour, hasFile: true, isFile: false });
      attempts = step.attempts;
      if (step.action.do === "detour") isDetour = true;
      if (step.action.do === "return") isDetour = false;
      done.push(step.action.do);
    }
    expect(done).toEqual(["retry", "detour", "return", "detour", "return", "detour", "giveUp"]);
  });

  it("asks the node when new addresses do not help", () => {
    expect(run("expired", MAX_RENEWALS + 1, true, false).map((action) => action.do)).toEqual(["renew", "renew", "renew", "detour"]);
    expect(run("expired", MAX_RENEWALS + 1, true, true).at(-1)).toEqual({ do: "giveUp", failure: "gone" });
  });

  it("asks for new addresses at once when the old are no longer good", () => {
    expect(run("expired", 1)).toEqual([{ do: "renew", afterMs: 0 }]);
  });
});

it("knows the way around the bucket", () => {
  expect(viaNode("/replay/t/index.m3u8")).toBe("/replay/t/index.m3u8?via=node");
  expect(viaNode("/replay/t/index.m3u8?a=b")).toBe("/replay/t/index.m3u8?a=b&via=node");
});

it("reads dates and gaps out of a playlist", () => {
  const text = [
    "#EXTM3U",
    "#EXT-X-MAP:URI=\"/init/a.mp4\"",
    "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T09:00:00.000Z",
    "#EXTINF:2.0,",
    "#EXT-X-BYTERANGE:10@0",
    "/media/a.mp4",
    "#EXTINF:2.5,",
    "/media/a.mp4",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T09:02:00.000Z",
    "#EXTINF:3,",
    "/media/b.mp4",
  ].join("\r\n");
  const open = readPlaylist(text);
  const T = Date.parse("2026-11-21T09:00:00Z");
  expect(open.isComplete).toBe(false);
  expect(buildSpans(open.fragments)).toEqual([
    { mediaStart: 0, mediaEnd: 4.5, wallStartMs: T, wallEndMs: T + 4_500 },
    { mediaStart: 4.5, mediaEnd: 7.5, wallStartMs: T + 120_000, wallEndMs: T + 123_000 },
  ]);
  expect(readPlaylist(`${text}\n#EXT-X-ENDLIST\n`).isComplete).toBe(true);
});

describe("frames", () => {
  it("learns how long a frame lasts from two that were shown, dropped ones counted", () => {
    const before = { mediaTime: 10, presentedFrames: 100 };
    expect(frameDuration(before, { mediaTime: 10 + 1001 / 30_000, presentedFrames: 101 }, 0.04)).toBeCloseTo(0.033366, 5);
    expect(frameDuration(before, { mediaTime: 10.08, presentedFrames: 102 }, 0.05)).toBeCloseTo(0.04, 9);
  });

  it("learns nothing from a seek", () => {
    expect(frameDuration({ mediaTime: 10, presentedFrames: 1 }, { mediaTime: 500, presentedFrames: 2 }, 0.04)).toBe(0.04);
    expect(frameDuration(null, { mediaTime: 1, presentedFrames: 2 }, DEFAULT_FRAME_S)).toBe(DEFAULT_FRAME_S);
  });

  it("steps to the middle of the neighbour", () => {
    expect(frameStep(1, 1, 0.04)).toBeCloseTo(1.06, 9);
    expect(frameStep(1, -1, 0.04)).toBeCloseTo(0.98, 9);
    expect(frameStep(0, -1, 0.04)).toBe(0);
  });
});

it("speeds have neighbours and ends", () => {
  expect(neighbourSpeed(1, 1)).toBe(1.5);
  expect(neighbourSpeed(1, -1)).toBe(0.5);
  expect(neighbourSpeed(2, 1)).toBe(2);
  expect(neighbourSpeed(0.25, -1)).toBe(0.25);
});

describe("a match as one file", () => {
  const match: Match = {
    startMs: 0,
    endMs: 60_000,
    isLive: false,
    zone: "UTC",
    gaps: [],
    playlistUrl: "x",
    fileUrl: "y",
    recordedUntilMs: null,
  };
  const gap = (startMs: number, endMs: number): Gap => ({ startMs, endMs, cause: "camera" });
  const runs = (more: Partial<Match>) =>
    fileTimes({ ...match, ...more }).spans.map(({ mediaStart, mediaEnd, wallStartMs, wallEndMs }) => [mediaStart, mediaEnd, wallStartMs, wallEndMs]);

  it("lies there without what is missing", () => {
    expect(runs({})).toEqual([[0, 60, 0, 60_000]]);
    expect(runs({ gaps: [gap(0, 5_000), gap(20_000, 30_000), gap(50_000, 60_000)] })).toEqual([
      [0, 15, 5_000, 20_000],
      [15, 35, 30_000, 50_000],
    ]);
    expect(runs({ gaps: [gap(0, 60_000)] })).toEqual([]);
  });

  it("ends where it is recorded to so far", () => {
    expect(runs({ recordedUntilMs: 25_000, gaps: [gap(10_000, 11_000)] })).toEqual([
      [0, 10, 0, 10_000],
      [10, 24, 11_000, 25_000],
    ]);
    expect(runs({ recordedUntilMs: 90_000 })).toEqual([[0, 60, 0, 60_000]]);
    const isComplete = (more: Partial<Match>): boolean => fileTimes({ ...match, ...more }).isComplete;
    expect(isComplete({ isLive: true, recordedUntilMs: 25_000 })).toBe(false);
    expect(isComplete({ isLive: true, recordedUntilMs: 60_000 })).toBe(true);
    expect(isComplete({ recordedUntilMs: 25_000 })).toBe(true);
  });
});
