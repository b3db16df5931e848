/**
 * Runs one match on one video element: starts at its first frame, stops at its last, speaks wall time to the outside,
 * tells of gaps, gets up again after trouble. It decides nothing that a pure function beside it could decide.
 */
import type { CreateEngine, CreateFileEngine, Engine, EngineEvents } from "./engine";
import { DEFAULT_FRAME_S, frameDuration, frameStep, type ShownFrame } from "./frames";
import { gapAt, gapCrossed, MIN_TOLD_GAP_MS, type Gap } from "./gaps";
import { fileTimes, type Match } from "./match";
import { viaNode } from "./playlist";
import { NO_ATTEMPTS, recover, type Action, type Attempts, type Trouble } from "./recovery";
import { firstSnapshot, type Snapshot } from "./snapshot";
import { neighbourSpeed } from "./speed";
import { edge, mediaRangesToWall, mediaToPosition, mediaToWall, wallToPosition, type Position, type Span } from "./timeline";

/** Added to each seek: times are rounded to microseconds on the way, and a frame must not be missed by one. */
const SEEK_NUDGE_S = 0.002;
/** How far behind the newest picture "live" plays: fragments must have been written and listed. */
export const LIVE_DELAY_MS = 5_000;
/** Closer to the newest picture than this counts as live. */
const LIVE_WITHIN_MS = 15_000;
/** iPhones may load no picture before a tap: after this time the player asks to play, and learns that it needs one. */
const LOADS_UNASKED_MS = 1_500;
/** How long a gap stays told. */
const GAP_TOLD_MS = 6_000;

export interface ControllerOptions {
  readonly video: HTMLVideoElement;
  readonly match: Match;
  /** Where to begin; the match's start if left out. */
  readonly beginMs?: number | undefined;
  readonly createEngine: CreateEngine;
  readonly createFileEngine: CreateFileEngine;
  /** Asks the API for fresh addresses; `null` if it has none. */
  readonly renew: () => Promise<Match | "gone" | null>;
}

export class Controller {
  readonly #video: HTMLVideoElement;
  readonly #options: ControllerOptions;
  readonly #listeners = new Set<() => void>();
  readonly #abort = new AbortController();
  #match: Match;
  #engine: Engine | null = null;
  #snapshot: Snapshot;
  #spans: readonly Span[] = [];
  #isComplete = false;
  #attempts: Attempts = NO_ATTEMPTS;
  /** Whether all footage is to come from the node: once the bucket could not be reached, for the rest of this match. */
  #isDetour = false;
  /** Whether the match is played as a file: the browser cannot start its playlist. Each jump is then a file of its own. */
  #isFile = false;
  /** Until when the match is in the file that is played. */
  #fileEdgeMs = 0;
  #retryTimer: number | undefined;
  #gapTimer: number | undefined;
  #startTimer: number | undefined;
  #animation: number | undefined;
  /** Where a seek that has not landed yet goes. */
  #target: Position | null = null;
  /** Whether it should play when it can. */
  #wantsToPlay = true;
  #lastWallMs: number | null = null;
  #shownFrame: ShownFrame | null = null;
  #frameS = DEFAULT_FRAME_S;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#video = options.video;
    this.#match = options.match;
    this.#snapshot = firstSnapshot(options.beginMs ?? options.match.startMs);
    this.#listen();
    void this.#start();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getSnapshot = (): Snapshot => this.#snapshot;

  /** The match as the API tells it now: while it is played, gaps come and the end stays. */
  update(match: Match): void {
    // The running playlist's address stays: it is good until it expires, and a new one would start over.
    this.#match = { ...match, playlistUrl: this.#match.playlistUrl };
    this.#engine?.reread?.();
    this.#refresh();
  }

  destroy(): void {
    this.#abort.abort();
    window.clearTimeout(this.#retryTimer);
    window.clearTimeout(this.#gapTimer);
    window.clearTimeout(this.#startTimer);
    if (this.#animation !== undefined) window.cancelAnimationFrame(this.#animation);
    this.#engine?.destroy();
    this.#engine = null;
    this.#listeners.clear();
  }

  play(): void {
    this.#wantsToPlay = true;
    if (this.#snapshot.phase === "failed") {
      this.startOver();
      return;
    }
    if (this.#snapshot.phase === "ended") this.seekTo(this.#match.startMs);
    this.#tryToPlay();
  }

  pause(): void {
    this.#wantsToPlay = false;
    this.#video.pause();
  }

  togglePlay(): void {
    if (this.#video.paused) this.play();
    else this.pause();
  }

  /** To a wall time; from within a gap to where the picture comes back. */
  seekTo(wallMs: number): void {
    const position = wallToPosition(this.#spans, this.#clamp(wallMs));
    if (position === null) return;
    this.#seek(position);
    const gap = gapAt(this.#match.gaps, wallMs);
    if (gap !== null && gap.endMs - gap.startMs >= MIN_TOLD_GAP_MS) this.#tell(gap);
  }

  /** By seconds of picture: gaps do not count, so that going back over one works as well. */
  seekBy(seconds: number): void {
    const from = this.#target?.media ?? this.#video.currentTime;
    const first = wallToPosition(this.#spans, this.#match.startMs);
    const last = this.#lastPosition();
    if (first === null || last === null) return;
    const media = Math.min(Math.max(from + seconds, first.media), last.media);
    const position = mediaToPosition(this.#spans, media);
    if (position !== null) this.#seek(position);
  }

  /** To a share of the match; of what there is of it, while it is being played. */
  seekToShare(share: number): void {
    const endMs = this.#lastPosition()?.wallMs ?? this.#match.endMs;
    this.seekTo(this.#match.startMs + (endMs - this.#match.startMs) * share);
  }

  goLive(): void {
    const edgeMs = edge(this.#spans);
    if (edgeMs === null) return;
    this.seekTo(edgeMs - LIVE_DELAY_MS);
    this.play();
  }

  stepFrame(frames: 1 | -1): void {
    if (!this.#video.paused) return;
    // Where the browser does not tell which frame is shown: somewhere in the middle of it, as steps land there.
    const shown = this.#shownFrame?.mediaTime ?? this.#video.currentTime - this.#frameS / 2;
    const media = frameStep(shown, frames, this.#frameS);
    const first = wallToPosition(this.#spans, this.#match.startMs);
    const last = this.#lastPosition();
    if (first === null || last === null || media < first.media || media > last.media) return;
    const position = mediaToPosition(this.#spans, media);
    if (position !== null) this.#seek(position, 0);
  }

  setSpeed(speed: number): void {
    // Both: loading a source resets the one to the other.
    this.#video.defaultPlaybackRate = speed;
    this.#video.playbackRate = speed;
    this.#change({ speed });
  }

  changeSpeed(by: 1 | -1): void {
    this.setSpeed(neighbourSpeed(this.#video.playbackRate, by));
  }

  setVolume(volume: number): void {
    this.#video.volume = Math.min(1, Math.max(0, volume));
    this.#video.muted = volume === 0;
  }

  toggleMute(): void {
    this.#video.muted = !this.#video.muted;
    if (!this.#video.muted && this.#video.volume === 0) this.#video.volume = 1;
  }

  /** After a failure: everything anew, from where it stopped. */
  startOver(): void {
    this.#attempts = NO_ATTEMPTS;
    this.#change({ phase: "preparing", failure: null, isWaiting: true });
    if (this.#engine !== null) void this.#renew();
    else void (this.#isFile ? this.#playFile() : this.#start());
  }

  async #start(): Promise<void> {
    await this.#use(this.#options.createEngine(this.#video, this.#events()));
  }

  /** The same match as a file, from where it is. */
  async #playFile(): Promise<void> {
    this.#engine?.destroy();
    this.#engine = null;
    this.#isFile = true;
    await this.#use(this.#options.createFileEngine(this.#video, this.#events(), () => fileTimes(this.#match)));
  }

  #events(): EngineEvents {
    return {
      onSpans: (spans, isComplete) => {
        this.#spans = spans;
        this.#isComplete = isComplete;
        this.#refresh();
      },
      onTrouble: (trouble) => {
        this.#onTrouble(trouble);
      },
      onHiccup: () => {
        this.#change({ isReconnecting: true });
      },
      onProgress: () => {
        this.#attempts = NO_ATTEMPTS;
        this.#change({ isReconnecting: false });
      },
    };
  }

  async #use(created: Promise<Engine | null>): Promise<void> {
    const engine = await created
      // The player's own code did not load: it is a network trouble like any other.
      .catch(() => "unreachable" as const);
    if (this.#abort.signal.aborted) {
      if (engine !== "unreachable") engine?.destroy();
      return;
    }
    if (engine === "unreachable") {
      this.#change({ phase: "failed", failure: "network", isWaiting: false });
      return;
    }
    if (engine === null) {
      this.#change({ phase: "failed", failure: "unsupported", isWaiting: false });
      return;
    }
    this.#engine = engine;
    this.#load();
  }

  #load(): void {
    const beginMs = this.#snapshot.wallMs;
    this.#target = null;
    this.#change({ phase: "preparing" });
    this.#fileEdgeMs = edge(fileTimes(this.#match).spans) ?? 0;
    this.#engine?.load(this.#address(), (spans) => {
      const position = wallToPosition(spans, this.#clamp(beginMs));
      const gap = gapAt(this.#match.gaps, beginMs);
      if (gap !== null && position !== null && position.wallMs - beginMs >= MIN_TOLD_GAP_MS) this.#tell(gap);
      this.#target = position;
      window.clearTimeout(this.#startTimer);
      this.#startTimer = window.setTimeout(() => {
        if (this.#snapshot.phase === "preparing" && this.#wantsToPlay) this.#tryToPlay();
      }, LOADS_UNASKED_MS);
      const startS = (position?.media ?? 0) + SEEK_NUDGE_S;
      // Before anything is loaded: what lies before the match must not flash up.
      this.#video.currentTime = startS;
      return startS;
    });
  }

  #address(): string {
    const { playlistUrl, fileUrl } = this.#match;
    if (this.#isFile && fileUrl !== null) return fileUrl;
    return this.#isDetour ? viaNode(playlistUrl) : playlistUrl;
  }

  #listen(): void {
    const video = this.#video;
    const on = (type: string, listener: () => void): void => {
      video.addEventListener(type, listener, { signal: this.#abort.signal });
    };
    on("loadeddata", () => {
      this.#settle();
      this.#uncover();
      // Engines that load their address anew after a trouble leave the element paused.
      if (this.#snapshot.phase === "ready" && this.#wantsToPlay && video.paused) this.#tryToPlay();
      this.#refresh();
    });
    on("play", () => {
      this.#change({ isPlaying: true, needsTap: false });
      this.#animate();
    });
    on("playing", () => {
      this.#settle();
      this.#change({ isWaiting: false });
    });
    on("pause", () => {
      this.#change({ isPlaying: false });
      this.#refresh();
    });
    on("waiting", () => {
      this.#change({ isWaiting: true });
    });
    on("canplay", () => {
      this.#change({ isWaiting: false });
    });
    on("seeking", () => {
      this.#shownFrame = null;
      this.#change({ isWaiting: true });
    });
    on("seeked", () => {
      this.#target = null;
      this.#lastWallMs = null;
      this.#change({ isWaiting: false });
      this.#uncover();
      this.#refresh();
    });
    on("timeupdate", () => {
      this.#refresh();
    });
    on("progress", () => {
      this.#refresh();
    });
    on("ended", () => {
      this.#end();
    });
    on("ratechange", () => {
      this.#change({ speed: video.playbackRate });
    });
    on("volumechange", () => {
      this.#change({ volume: video.volume, isMuted: video.muted });
    });
    window.addEventListener(
      "online",
      () => {
        if (this.#snapshot.isReconnecting) this.#engine?.retry();
      },
      { signal: this.#abort.signal },
    );
    this.#watchFrames();
  }

  /**
   * Only once the picture asked for is there: browsers present the keyframe before it while they seek. And it plays
   * only once it is seen, so that no frame is missed.
   */
  #uncover(): void {
    const { seeking, readyState } = this.#video;
    if (this.#snapshot.phase !== "preparing" || seeking || readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#change({ phase: "ready", isWaiting: false });
    if (this.#wantsToPlay && this.#video.paused) this.#tryToPlay();
  }

  /** A start that needed no seek, since it is the first picture of all, has landed as well. */
  #settle(): void {
    if (this.#target !== null && !this.#video.seeking && Math.abs(this.#video.currentTime - this.#target.media) < 0.1) {
      this.#target = null;
    }
  }

  /** Learns which frame is shown and how long one lasts. Not every browser tells. */
  #watchFrames(): void {
    if (!("requestVideoFrameCallback" in HTMLVideoElement.prototype)) return;
    const onFrame: VideoFrameRequestCallback = (_, { mediaTime, presentedFrames }) => {
      if (this.#abort.signal.aborted) return;
      const shown = { mediaTime, presentedFrames };
      this.#frameS = frameDuration(this.#shownFrame, shown, this.#frameS);
      this.#shownFrame = shown;
      this.#video.requestVideoFrameCallback(onFrame);
    };
    this.#video.requestVideoFrameCallback(onFrame);
  }

  /** While it plays the clock is read at each repaint: `timeupdate` alone would overrun the end by up to 250 ms. */
  #animate(): void {
    if (this.#animation !== undefined) return;
    const frame = (): void => {
      this.#animation = undefined;
      if (this.#abort.signal.aborted || this.#video.paused) return;
      this.#refresh();
      this.#animation = window.requestAnimationFrame(frame);
    };
    this.#animation = window.requestAnimationFrame(frame);
  }

  #refresh(): void {
    if (this.#spans.length === 0) return;
    const video = this.#video;
    const edgeMs = edge(this.#spans);
    const hasPicture = video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    let wallMs = this.#snapshot.wallMs;
    if (this.#target !== null) {
      wallMs = this.#target.wallMs;
    } else if (hasPicture && this.#snapshot.phase !== "ended") {
      wallMs = this.#clamp(mediaToWall(this.#spans, video.currentTime) ?? wallMs);
      this.#watchGaps(wallMs);
    }
    this.#change({
      wallMs,
      edgeMs,
      isAtLiveEdge: this.#isGrowing() && edgeMs !== null && edgeMs - wallMs < LIVE_WITHIN_MS,
      buffered: this.#buffered(),
    });
    this.#stopAtEnd();
  }

  #watchGaps(wallMs: number): void {
    const before = this.#lastWallMs;
    this.#lastWallMs = wallMs;
    if (before === null || this.#video.seeking) return;
    const gap = gapCrossed(this.#match.gaps, before, wallMs);
    if (gap !== null) this.#tell(gap);
  }

  #stopAtEnd(): void {
    if (this.#snapshot.phase !== "ready" || this.#video.paused || this.#video.seeking) return;
    const last = wallToPosition(this.#spans, this.#match.endMs);
    const edgeMs = edge(this.#spans);
    // A match still growing has no end to stop at yet: running dry is waiting, not the end.
    if (last === null || edgeMs === null || (this.#isGrowing() && edgeMs < this.#match.endMs)) return;
    if (this.#video.currentTime >= last.media - this.#frameS / 2) this.#end();
  }

  #end(): void {
    if (this.#isFile && this.#goesOn()) return;
    if (this.#isGrowing() && (edge(this.#spans) ?? 0) < this.#match.endMs) return;
    this.#wantsToPlay = false;
    this.#video.pause();
    const last = this.#lastPosition();
    const endMs = last?.wallMs ?? this.#match.endMs;
    // Back onto the match's last frame, if the next one was already shown. A file has none.
    if (last !== null && !this.#isFile) this.#video.currentTime = Math.max(0, last.media - this.#frameS / 2);
    const missing = this.#match.gaps.find((gap) => gap.startMs <= endMs + MIN_TOLD_GAP_MS && gap.endMs >= this.#match.endMs);
    if (missing !== undefined && missing.endMs - missing.startMs >= MIN_TOLD_GAP_MS) this.#tell(missing);
    this.#change({ phase: "ended", wallMs: endMs, isPlaying: false, isWaiting: false });
  }

  /** A file of a match in play ends where the recording had got to when it was asked for: the rest is in another one. */
  #goesOn(): boolean {
    window.clearTimeout(this.#retryTimer);
    const edgeMs = edge(this.#spans) ?? 0;
    if (edgeMs - this.#fileEdgeMs > (this.#isGrowing() ? LIVE_DELAY_MS : 0)) {
      if (this.#wantsToPlay) this.#load();
      return true;
    }
    if (!this.#isGrowing() || edgeMs >= this.#match.endMs) return false;
    this.#change({ isWaiting: true });
    this.#retryTimer = window.setTimeout(() => {
      this.#end();
    }, LIVE_DELAY_MS);
    return true;
  }

  /** Media time of the first picture. */
  #firstMedia(): number {
    return this.#spans[0]?.mediaStart ?? 0;
  }

  /** The playlist says it, not the match: a match may be over with its last fragments not listed yet. */
  #isGrowing(): boolean {
    return !this.#isComplete;
  }

  /** The last place of the match there is a picture of. */
  #lastPosition(): Position | null {
    const position = wallToPosition(this.#spans, this.#match.endMs);
    const edgeMs = edge(this.#spans);
    if (position === null || edgeMs === null) return null;
    // The match's end may lie in a gap: then the last picture is the one before it.
    if (position.wallMs > this.#match.endMs) {
      const before = this.#spans.filter((span) => span.wallStartMs < this.#match.endMs).at(-1);
      return before === undefined ? position : { media: before.mediaEnd, wallMs: before.wallEndMs };
    }
    return position;
  }

  #clamp(wallMs: number): number {
    return Math.min(Math.max(wallMs, this.#match.startMs), this.#match.endMs);
  }

  #seek(position: Position, nudgeS = SEEK_NUDGE_S): void {
    const last = this.#lastPosition();
    // Not onto the end itself: there is no frame there. On a growing match not onto the last fragment either.
    const room = this.#isGrowing() ? LIVE_DELAY_MS / 1000 : this.#frameS;
    const media = last === null ? position.media : Math.max(this.#firstMedia(), Math.min(position.media, last.media - room));
    const landing = mediaToPosition(this.#spans, media) ?? position;
    this.#target = landing;
    if (this.#snapshot.phase === "ended") this.#change({ phase: "ready" });
    this.#change({ wallMs: landing.wallMs, toldGap: null });
    if (this.#isFile) this.#load();
    else this.#video.currentTime = landing.media + nudgeS;
  }

  #tryToPlay(): void {
    this.#video.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === "NotAllowedError") {
        this.#wantsToPlay = false;
        this.#change({ needsTap: true, isWaiting: false, isPlaying: false });
      }
      // `AbortError`: a pause or another source came in between. What follows tells.
    });
  }

  #onTrouble(trouble: Trouble): void {
    const { action, attempts } = recover(this.#attempts, trouble, {
      isOnline: navigator.onLine,
      isDetour: this.#isDetour,
      hasFile: this.#match.fileUrl !== null,
      isFile: this.#isFile,
    });
    this.#attempts = attempts;
    this.#act(action);
  }

  #act(action: Action): void {
    window.clearTimeout(this.#retryTimer);
    switch (action.do) {
      case "retry":
        this.#change({ isReconnecting: true });
        this.#retryTimer = window.setTimeout(() => this.#engine?.retry(), action.afterMs);
        break;
      case "waitForNetwork":
        this.#change({ isReconnecting: true });
        break;
      case "recoverMedia":
        this.#engine?.recoverMedia();
        if (this.#wantsToPlay) this.#tryToPlay();
        break;
      case "renew":
        this.#change({ isReconnecting: true });
        this.#retryTimer = window.setTimeout(() => void this.#renew(), action.afterMs);
        break;
      case "detour":
        this.#isDetour = true;
        this.#change({ isReconnecting: true });
        this.#load();
        break;
      case "playFile":
        void this.#playFile();
        break;
      case "return":
        this.#isDetour = false;
        this.#change({ isReconnecting: true });
        this.#retryTimer = window.setTimeout(() => {
          this.#load();
        }, action.afterMs);
        break;
      case "giveUp":
        this.#video.pause();
        this.#change({ phase: "failed", failure: action.failure, isWaiting: false, isReconnecting: false });
        break;
    }
  }

  async #renew(): Promise<void> {
    const match = await this.#options.renew();
    if (this.#abort.signal.aborted) return;
    if (match === "gone") {
      this.#act({ do: "giveUp", failure: "gone" });
      return;
    }
    if (match === null) {
      this.#onTrouble("network");
      return;
    }
    this.#match = match;
    this.#load();
  }

  #tell(gap: Gap): void {
    window.clearTimeout(this.#gapTimer);
    this.#change({ toldGap: gap });
    this.#gapTimer = window.setTimeout(() => {
      this.#change({ toldGap: null });
    }, GAP_TOLD_MS);
  }

  #buffered(): readonly (readonly [number, number])[] {
    const { buffered } = this.#video;
    const ranges = Array.from({ length: buffered.length }, (_, index) => [buffered.start(index), buffered.end(index)] as const);
    return mediaRangesToWall(this.#spans, ranges);
  }

  /** Listeners hear of it only if something they could show has changed. */
  #change(change: Partial<Snapshot>): void {
    const next = { ...this.#snapshot, ...change };
    const keys = Object.keys(change) as (keyof Snapshot)[];
    if (keys.every((key) => isSame(this.#snapshot[key], next[key]))) return;
    this.#snapshot = next;
    for (const listener of this.#listeners) listener();
  }
}

function isSame(before: unknown, after: unknown): boolean {
  if (Object.is(before, after)) return true;
  return Array.isArray(before) && Array.isArray(after) && before.flat().join() === after.flat().join();
}
