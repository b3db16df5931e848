/** Plays a live address: at the live edge with low latency, or some time behind it. hls.js where it works, else the browser. */
import Hls, { ErrorTypes, Events } from "hls.js/light";

import { startsWithIdr } from "../player/idr";
import { stallWatch } from "./stall";

/** How far one can go back, in seconds; the server allows up to four hours. */
const WINDOW_S = 3600;
/** Behind by this much more than it should be, a viewer is not live any more. */
const BEHIND_S = 4;
/** A stall leaves a viewer behind: a little faster than real time, which nobody hears, brings it back. */
const CATCH_UP_RATE = 1.08;
const RETRY_MS = 2_000;
/** A browser that has shown nothing by then, of fragments that begin with no IDR picture, will not show any. */
const STARTS_WITHIN_MS = 8_000;

export type LiveState = "loading" | "live" | "behind" | "stalled" | "lost" | "unsupported";

export interface LiveEngine {
  /** Goes back from where it is. */
  rewind(seconds: number): void;
  goLive(): void;
  destroy(): void;
}

export function createLiveEngine(video: HTMLVideoElement, url: string, onState: (state: LiveState) => void): LiveEngine | null {
  if (Hls.isSupported()) return withHls(video, url, onState);
  if (video.canPlayType("application/vnd.apple.mpegurl") === "") return null;
  return native(video, url, onState);
}

function withHls(video: HTMLVideoElement, url: string, onState: (state: LiveState) => void): LiveEngine {
  let hls: Hls;
  let isRewound = false;
  let retry: number | undefined;
  let starting: number | undefined;

  const open = (address: string, behindS: number): void => {
    window.clearTimeout(retry);
    retry = undefined;
    window.clearTimeout(starting);
    starting = undefined;
    hls = new Hls({
      // As in the player of matches: a `blob:` worker is against the content security policy.
      enableWorker: false,
      lowLatencyMode: true,
      maxBufferLength: 20,
      backBufferLength: 30,
      maxLiveSyncPlaybackRate: CATCH_UP_RATE,
    });
    hls.on(Events.ERROR, (_, { fatal, type }) => {
      if (!fatal) return;
      if (type === ErrorTypes.MEDIA_ERROR) {
        hls.recoverMediaError();
        return;
      }
      onState("lost");
      hls.destroy();
      retry = window.setTimeout(() => {
        isRewound = false;
        open(url, 0);
      }, RETRY_MS);
    });
    hls.on(Events.FRAG_LOADED, (_, { frag, payload }) => {
      if (starting !== undefined || startsWithIdr(frag.initSegment?.data, new Uint8Array(payload)) !== false) return;
      starting = window.setTimeout(() => {
        if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) onState("unsupported");
      }, STARTS_WITHIN_MS);
    });
    if (behindS > 0) {
      // By itself it would begin at the edge.
      hls.once(Events.LEVEL_UPDATED, (_, { details }) => {
        hls.startLoad(Math.max(details.fragmentStart, details.edge - behindS));
      });
    }
    hls.loadSource(address);
    hls.attachMedia(video);
    video.play().catch(() => undefined);
  };

  const stall = stallWatch();
  const watch = window.setInterval(() => {
    if (stall(video.currentTime, video.paused, Date.now())) {
      if (retry === undefined) onState("stalled");
      return;
    }
    if (video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return;
    onState(hls.latency - (hls.targetLatency ?? 0) > BEHIND_S || video.paused ? "behind" : "live");
  }, 500);

  open(url, 0);
  return {
    rewind(seconds) {
      const behindS = hls.latency + seconds;
      if (isRewound) {
        video.currentTime = Math.max(video.seekable.length > 0 ? video.seekable.start(0) : 0, video.currentTime - seconds);
        return;
      }
      isRewound = true;
      hls.destroy();
      open(`${url}?window=${String(WINDOW_S)}`, behindS);
    },
    goLive() {
      if (isRewound) {
        isRewound = false;
        hls.destroy();
        open(url, 0);
        return;
      }
      if (hls.liveSyncPosition !== null) video.currentTime = hls.liveSyncPosition;
      video.play().catch(() => undefined);
    },
    destroy() {
      window.clearInterval(watch);
      window.clearTimeout(retry);
      window.clearTimeout(starting);
      hls.destroy();
    },
  };
}

/** Safari: it knows parts by itself. */
function native(video: HTMLVideoElement, url: string, onState: (state: LiveState) => void): LiveEngine {
  const abort = new AbortController();
  let isRewound = false;
  let retry: number | undefined;
  const edge = (): number => (video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) : 0);
  const open = (address: string, behindS: number): void => {
    video.src = address;
    video.addEventListener(
      "loadedmetadata",
      () => {
        if (behindS > 0) video.currentTime = Math.max(0, edge() - behindS);
      },
      { once: true, signal: abort.signal },
    );
    video.play().catch(() => undefined);
  };
  video.addEventListener(
    "error",
    () => {
      onState("lost");
      window.clearTimeout(retry);
      retry = window.setTimeout(() => {
        isRewound = false;
        open(url, 0);
      }, RETRY_MS);
    },
    { signal: abort.signal },
  );
  const stall = stallWatch();
  const watch = window.setInterval(() => {
    if (stall(video.currentTime, video.paused, Date.now())) {
      onState("stalled");
      return;
    }
    if (video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return;
    onState(edge() - video.currentTime > BEHIND_S * 2 || video.paused ? "behind" : "live");
  }, 500);
  open(url, 0);
  return {
    rewind(seconds) {
      if (isRewound) video.currentTime = Math.max(0, video.currentTime - seconds);
      else open(`${url}?window=${String(WINDOW_S)}`, edge() - video.currentTime + seconds);
      isRewound = true;
    },
    goLive() {
      if (isRewound) open(url, 0);
      else video.currentTime = edge();
      isRewound = false;
      video.play().catch(() => undefined);
    },
    destroy() {
      abort.abort();
      window.clearInterval(watch);
      window.clearTimeout(retry);
      video.removeAttribute("src");
      video.load();
    },
  };
}
