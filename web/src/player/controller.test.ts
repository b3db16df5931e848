import { afterEach, beforeEach, describe, expect, it, vi, type Mock } from "vitest";

import { Controller, LIVE_DELAY_MS } from "./controller";
import type { Engine, EngineEvents } from "./engine";
import { fileTimes, type FileTimes, type Match } from "./match";
import { buildSpans, type Span } from "./timeline";

const T = Date.parse("2026-11-21T09:00:00Z");
const MATCH: Match = {
  startMs: T,
  endMs: T + 600_000,
  isLive: false,
  zone: "Europe/Madrid",
  gaps: [{ startMs: T + 120_000, endMs: T + 240_000, cause: "camera" }],
  playlistUrl: "/replay/one/index.m3u8",
  fileUrl: "/replay/one.mp4",
  recordedUntilMs: null,
};
/** Recorded from 3 s before the match: 123 s, the gap, and on to its end. Media time of the start: 3; of the end: 483. */
const SPANS = buildSpans([
  { mediaStart: 0, duration: 123, wallStartMs: T - 3_000 },
  { mediaStart: 123, duration: 361, wallStartMs: T + 240_000 },
]);

/** A video element as far as the controller uses one; jsdom's cannot play. */
class FakeVideo extends EventTarget {
  currentTime = 0;
  paused = true;
  seeking = false;
  readyState = 4;
  playbackRate = 1;
  defaultPlaybackRate = 1;
  volume = 1;
  muted = false;
  refuses: string | null = null;
  readonly buffered = { length: 0, start: () => 0, end: () => 0 };

  play(): Promise<void> {
    if (this.refuses !== null) return Promise.reject(new DOMException("no", this.refuses));
    this.paused = false;
    this.dispatchEvent(new Event("play"));
    this.dispatchEvent(new Event("playing"));
    return Promise.resolve();
  }

  pause(): void {
    this.paused = true;
    this.dispatchEvent(new Event("pause"));
  }

  /** The browser has played up to here. */
  reach(media: number): void {
    this.currentTime = media;
    this.dispatchEvent(new Event("timeupdate"));
  }
}

type FakeEngine = { readonly [name in keyof Engine]-?: Mock<NonNullable<Engine[name]>> };

interface Stage {
  readonly controller: Controller;
  readonly video: FakeVideo;
  readonly engine: FakeEngine;
  readonly events: EngineEvents;
  /** Plays the match as one file. */
  readonly file: FakeEngine;
  readonly renew: ReturnType<typeof vi.fn>;
}

async function stage(match: Match = MATCH, beginMs?: number, spans: readonly Span[] = SPANS, isComplete = true): Promise<Stage> {
  const video = new FakeVideo();
  const renew = vi.fn(() => Promise.resolve({ ...match, playlistUrl: "/replay/two/index.m3u8" }));
  let events: EngineEvents | undefined;
  const engineOf = (spansNow: () => readonly Span[]): FakeEngine => ({
    load: vi.fn((_: string, startAt: (spans: readonly Span[]) => number) => {
      events?.onSpans(spansNow(), isComplete);
      video.currentTime = startAt(spansNow());
      video.dispatchEvent(new Event("loadeddata"));
    }),
    retry: vi.fn(),
    recoverMedia: vi.fn(),
    reread: vi.fn(),
    destroy: vi.fn(),
  });
  const engine = engineOf(() => spans);
  let timesOfFile: () => FileTimes = () => ({ spans: [], isComplete: true });
  const file = engineOf(() => timesOfFile().spans);
  const controller = new Controller({
    video: video as unknown as HTMLVideoElement,
    match,
    beginMs,
    renew,
    createEngine: (_, told) => {
      events = told;
      return Promise.resolve(engine);
    },
    createFileEngine: (_, told, timesNow) => {
      events = told;
      timesOfFile = timesNow;
      return Promise.resolve(file);
    },
  });
  await vi.advanceTimersByTimeAsync(0);
  if (events === undefined) throw new Error("the engine was not made");
  return { controller, video, engine, events, file, renew };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a match", () => {
  it("begins at its first instant and plays", async () => {
    const { controller, video } = await stage();
    expect(video.currentTime).toBeCloseTo(3.002, 6);
    expect(controller.getSnapshot()).toMatchObject({ phase: "ready", isPlaying: true });
    expect(controller.getSnapshot().wallMs).toBeCloseTo(T, -1);
  });

  it("begins at a shared moment", async () => {
    const { video } = await stage(MATCH, T + 300_000);
    expect(video.currentTime).toBeCloseTo(183.002, 6);
  });

  it("that may not play by itself waits for a tap, on its first picture", async () => {
    const video = new FakeVideo();
    video.refuses = "NotAllowedError";
    const controller = new Controller({
      video: video as unknown as HTMLVideoElement,
      match: MATCH,
      renew: () => Promise.resolve(null),
      createEngine: (_, events) =>
        Promise.resolve({
          load: (_url, startAt) => {
            events.onSpans(SPANS, true);
            video.currentTime = startAt(SPANS);
            video.dispatchEvent(new Event("loadeddata"));
          },
          retry: vi.fn(),
          recoverMedia: vi.fn(),
          destroy: vi.fn(),
        }),
      createFileEngine: () => Promise.reject(new Error("not asked for")),
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(controller.getSnapshot()).toMatchObject({ needsTap: true, isPlaying: false, phase: "ready" });
    video.refuses = null;
    controller.play();
    expect(controller.getSnapshot()).toMatchObject({ needsTap: false, isPlaying: true });
  });

  it("tells of a gap as it is played over, and stops telling", async () => {
    const { controller, video } = await stage();
    video.reach(122.98);
    expect(controller.getSnapshot().toldGap).toBeNull();
    video.reach(123.1);
    expect(controller.getSnapshot().toldGap).toEqual(MATCH.gaps[0]);
    expect(controller.getSnapshot().wallMs).toBeCloseTo(T + 240_100, -1);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(controller.getSnapshot().toldGap).toBeNull();
  });

  it("stops at its end, and can be watched again", async () => {
    const { controller, video } = await stage();
    video.reach(482.9);
    expect(controller.getSnapshot().phase).toBe("ready");
    video.reach(482.99);
    expect(controller.getSnapshot()).toMatchObject({ phase: "ended", isPlaying: false, wallMs: T + 600_000 });
    controller.togglePlay();
    expect(controller.getSnapshot().phase).toBe("ready");
    expect(video.currentTime).toBeCloseTo(3.002, 6);
    expect(video.paused).toBe(false);
  });
});

describe("seeking", () => {
  it("into a gap lands where the picture comes back, and says why", async () => {
    const { controller, video } = await stage();
    controller.seekTo(T + 180_000);
    expect(video.currentTime).toBeCloseTo(123.002, 6);
    expect(controller.getSnapshot()).toMatchObject({ wallMs: T + 240_000, toldGap: MATCH.gaps[0] });
  });

  it("goes back over a gap", async () => {
    const { controller, video } = await stage();
    video.reach(124);
    controller.seekBy(-5);
    expect(video.currentTime).toBeCloseTo(119.002, 6);
    expect(controller.getSnapshot().wallMs).toBeCloseTo(T + 116_000, -1);
  });

  it("adds up while the pictures have not come yet", async () => {
    const { controller, video } = await stage();
    video.seeking = true;
    controller.seekBy(30);
    controller.seekBy(30);
    expect(video.currentTime).toBeCloseTo(63.002, 1);
  });

  it("never leaves the match", async () => {
    const { controller, video } = await stage();
    controller.seekBy(-30);
    expect(video.currentTime).toBeCloseTo(3.002, 6);
    controller.seekToShare(1);
    expect(video.currentTime).toBeLessThan(483);
    expect(video.currentTime).toBeGreaterThan(482.9);
  });
});

describe("a match being played", () => {
  const live = { ...MATCH, isLive: true, gaps: [] };
  const soFar = buildSpans([{ mediaStart: 0, duration: 303, wallStartMs: T - 3_000 }]);

  it("does not end where the recording has got to", async () => {
    const { controller, video } = await stage(live, undefined, soFar, false);
    video.reach(302.99);
    video.dispatchEvent(new Event("ended"));
    expect(controller.getSnapshot().phase).toBe("ready");
    expect(controller.getSnapshot().isAtLiveEdge).toBe(true);
  });

  it("can be joined live", async () => {
    const { controller, video } = await stage(live, undefined, soFar, false);
    expect(controller.getSnapshot().isAtLiveEdge).toBe(false);
    controller.goLive();
    expect(video.currentTime).toBeCloseTo(298, 1);
  });
});

describe("trouble", () => {
  it("with the address is mended with a new one, from the same moment", async () => {
    const { engine, events, video, renew } = await stage();
    video.reach(63);
    events.onTrouble("expired");
    await vi.advanceTimersByTimeAsync(0);
    expect(renew).toHaveBeenCalledOnce();
    expect(engine.load.mock.lastCall?.[0]).toBe("/replay/two/index.m3u8");
    expect(video.currentTime).toBeCloseTo(63.002, 2);
  });

  it("with the network is tried again, then told, then tried again on demand", async () => {
    const { controller, engine, events, renew } = await stage();
    for (let attempt = 0; attempt < 6; attempt += 1) {
      events.onTrouble("network");
      expect(controller.getSnapshot().isReconnecting).toBe(true);
      await vi.advanceTimersByTimeAsync(8_000);
    }
    expect(engine.retry).toHaveBeenCalledTimes(6);
    events.onTrouble("network");
    expect(controller.getSnapshot()).toMatchObject({ phase: "failed", failure: "network" });
    controller.startOver();
    await vi.advanceTimersByTimeAsync(0);
    expect(renew).toHaveBeenCalledOnce();
    expect(controller.getSnapshot()).toMatchObject({ phase: "ready", failure: null });
  });

  it("with the bucket is gone around by the node, from the same moment, and stays so", async () => {
    const { controller, engine, events, video } = await stage();
    video.reach(63);
    events.onTrouble("unreached");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(engine.retry).toHaveBeenCalledOnce();
    events.onTrouble("unreached");
    expect(engine.load.mock.lastCall?.[0]).toBe("/replay/one/index.m3u8?via=node");
    expect(video.currentTime).toBeCloseTo(63.002, 2);
    expect(controller.getSnapshot()).toMatchObject({ phase: "ready", failure: null });
    events.onProgress();
    expect(controller.getSnapshot().isReconnecting).toBe(false);
    // New addresses are asked for the same way.
    events.onTrouble("expired");
    await vi.advanceTimersByTimeAsync(0);
    expect(engine.load.mock.lastCall?.[0]).toBe("/replay/two/index.m3u8?via=node");
  });

  it("with everything is no reason to stay with the node", async () => {
    const { engine, events } = await stage();
    events.onTrouble("unreached");
    await vi.advanceTimersByTimeAsync(1_000);
    events.onTrouble("unreached");
    events.onTrouble("network");
    await vi.advanceTimersByTimeAsync(8_000);
    expect(engine.load.mock.lastCall?.[0]).toBe("/replay/one/index.m3u8");
  });

  it("is forgotten once media comes again", async () => {
    const { controller, events } = await stage();
    events.onTrouble("network");
    events.onProgress();
    expect(controller.getSnapshot().isReconnecting).toBe(false);
  });
});

describe("a playlist that the browser cannot start", () => {
  it("is played as one file, from where it was", async () => {
    const { controller, engine, events, file, video } = await stage(MATCH, T + 300_000);
    events.onTrouble("unstartable");
    await vi.advanceTimersByTimeAsync(0);
    expect(engine.destroy).toHaveBeenCalledOnce();
    expect(file.load.mock.lastCall?.[0]).toBe("/replay/one.mp4");
    // Two minutes of picture, the gap closed up, and one minute more: nothing of before the match.
    expect(video.currentTime).toBeCloseTo(180, 1);
    expect(controller.getSnapshot()).toMatchObject({ phase: "ready", failure: null });
    expect(controller.getSnapshot().wallMs).toBeCloseTo(T + 300_000, -1);
  });

  it("is a failure where there is no file, or the file does not play either", async () => {
    for (const match of [{ ...MATCH, fileUrl: null }, MATCH]) {
      const { controller, events } = await stage(match);
      events.onTrouble("unstartable");
      await vi.advanceTimersByTimeAsync(0);
      events.onTrouble("unstartable");
      expect(controller.getSnapshot()).toMatchObject({ phase: "failed", failure: "playback" });
    }
  });

  it("is cut anew at each jump, and its times count from there", async () => {
    const { controller, events, file, video } = await stage({ ...MATCH, gaps: [] });
    events.onTrouble("unstartable");
    await vi.advanceTimersByTimeAsync(0);
    controller.pause();
    controller.seekTo(T + 400_000);
    expect(file.load).toHaveBeenCalledTimes(2);
    expect(video.currentTime).toBeCloseTo(400, 1);
    expect(controller.getSnapshot()).toMatchObject({ phase: "ready", isPlaying: false });
    expect(controller.getSnapshot().wallMs).toBeCloseTo(T + 400_000, -1);
  });

  it("goes on with what has been recorded since, while the match is played", async () => {
    const live: Match = { ...MATCH, gaps: [], isLive: true, recordedUntilMs: T + 100_000 };
    const { controller, events, file, video } = await stage(live);
    events.onTrouble("unstartable");
    await vi.advanceTimersByTimeAsync(0);
    events.onSpans(fileTimes(live).spans, false);
    video.currentTime = 100;
    video.dispatchEvent(new Event("timeupdate"));
    video.dispatchEvent(new Event("ended"));
    expect(controller.getSnapshot()).toMatchObject({ phase: "ready", isWaiting: true });
    controller.update({ ...live, recordedUntilMs: T + 140_000 });
    events.onSpans(fileTimes({ ...live, recordedUntilMs: T + 140_000 }).spans, false);
    await vi.advanceTimersByTimeAsync(LIVE_DELAY_MS);
    expect(file.load).toHaveBeenCalledTimes(2);
    expect(controller.getSnapshot().wallMs).toBeCloseTo(T + 100_000, -1);
  });

  it("gets new addresses for its file as well", async () => {
    const { events, file, renew } = await stage();
    events.onTrouble("unstartable");
    await vi.advanceTimersByTimeAsync(0);
    renew.mockResolvedValue({ ...MATCH, fileUrl: "/replay/two.mp4" });
    events.onTrouble("expired");
    await vi.advanceTimersByTimeAsync(0);
    expect(file.load.mock.lastCall?.[0]).toBe("/replay/two.mp4");
  });
});
