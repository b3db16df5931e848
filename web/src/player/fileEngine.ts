import { elementTrouble } from "./elementTrouble";
import type { Engine, EngineEvents } from "./engine";
import type { Span } from "./timeline";

/**
 * The match as one MP4, played by the browser itself. For browsers whose Media Source Extensions start H.264 at an IDR picture
 * only (Chromium), while their own player starts at a recovery point as well: a stream without IDR pictures would stay black.
 */
export function createFileEngine(video: HTMLVideoElement, events: EngineEvents, spansNow: () => readonly Span[]): Engine {
  let source = "";
  let startAt: (spans: readonly Span[]) => number = () => 0;

  const begin = (): void => {
    const spans = spansNow();
    events.onSpans(spans, true);
    const startS = startAt(spans);
    video.src = source;
    // Before anything is loaded this is where the browser begins.
    video.currentTime = startS;
  };
  const again = (): void => {
    const at = video.currentTime;
    if (at > 0) startAt = () => at;
    begin();
  };

  const onError = (): void => {
    const trouble = elementTrouble(video);
    if (trouble !== null) events.onTrouble(trouble);
  };
  const onProgress = (): void => {
    events.onProgress();
  };
  video.addEventListener("error", onError);
  video.addEventListener("loadeddata", onProgress);

  return {
    load(url, start) {
      source = url;
      startAt = start;
      begin();
    },
    retry: again,
    recoverMedia: again,
    destroy() {
      video.removeEventListener("error", onError);
      video.removeEventListener("loadeddata", onProgress);
      video.removeAttribute("src");
      video.load();
    },
  };
}
