/** What plays a playlist on a video element: hls.js, or the browser itself. The controller knows only this. */
import type { FileTimes } from "./match";
import type { Trouble } from "./recovery";
import type { Span } from "./timeline";

export interface EngineEvents {
  /** The playlist was read, has grown, or its times are known better. */
  readonly onSpans: (spans: readonly Span[], isComplete: boolean) => void;
  /** It stopped and will not go on by itself. */
  readonly onTrouble: (trouble: Trouble) => void;
  /** Something did not come and is being tried again. */
  readonly onHiccup: () => void;
  /** Media arrived. */
  readonly onProgress: () => void;
}

export interface Engine {
  /** Loads a playlist; once `onSpans` was told, playing begins at `startAt(spans)` seconds of media time. */
  load(url: string, startAt: (spans: readonly Span[]) => number): void;
  /** Goes on after a network trouble. */
  retry(): void;
  /** Goes on after a decoding trouble. */
  recoverMedia(): void;
  /** Tells the times anew: the match has grown. Engines that read a playlist know by themselves. */
  reread?(): void;
  destroy(): void;
}

export type CreateEngine = (video: HTMLVideoElement, events: EngineEvents) => Promise<Engine | null>;

/** What plays the match as a file, where a playlist cannot be started; `timesNow` tells where the match lies in it. */
export type CreateFileEngine = (
  video: HTMLVideoElement,
  events: EngineEvents,
  timesNow: () => FileTimes,
) => Promise<Engine>;

/** Begins to load what `createEngine` will need, while the API is still being asked. A failure is met again there. */
export function preloadEngine(): void {
  import("./hlsEngine").catch(() => undefined);
}

/** hls.js where it works, since it knows about gaps; else the browser's own; else `null`. */
export const createEngine: CreateEngine = async (video, events) => {
  const { createHlsEngine, isHlsSupported } = await import("./hlsEngine");
  if (isHlsSupported()) return createHlsEngine(video, events);
  if (video.canPlayType("application/vnd.apple.mpegurl") === "") return null;
  const { createNativeEngine } = await import("./nativeEngine");
  return createNativeEngine(video, events);
};

export const createFileEngine: CreateFileEngine = async (video, events, timesNow) => {
  const file = await import("./fileEngine");
  return file.createFileEngine(video, events, timesNow);
};
