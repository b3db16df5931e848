import { elementTrouble } from "./elementTrouble";
import type { Engine, EngineEvents } from "./engine";
import type { FileTimes } from "./match";
import { mediaToWall, shiftSpans } from "./timeline";

/**
 * The match as an MP4, played by the browser itself. For browsers whose Media Source Extensions start H.264 at an IDR picture
 * only (Chromium), while their own player starts at the first picture of a file whatever it is.
 *
 * It does not start at others within the file. So each start is a file of its own, cut where it begins, and its media time
 * counts from there.
 */
export function createFileEngine(video: HTMLVideoElement, events: EngineEvents, timesNow: () => FileTimes): Engine {
  /** The address without a beginning. */
  let source = "";
  /** Media time of the match at which the file begins. */
  let origin = 0;

  const tell = (): void => {
    const { spans, isComplete } = timesNow();
    events.onSpans(shiftSpans(spans, -origin), isComplete);
  };
  const begin = (media: number): void => {
    origin = media;
    tell();
    const fromMs = mediaToWall(timesNow().spans, media);
    video.src = fromMs === null ? source : `${source}?from=${new Date(fromMs).toISOString()}`;
  };
  const again = (): void => {
    begin(origin + video.currentTime);
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
    load(url, startAt) {
      source = url;
      const { spans } = timesNow();
      const media = startAt(spans);
      begin(media);
      // Told once more, on the times of the file.
      startAt(shiftSpans(spans, -media));
      video.currentTime = 0;
    },
    reread: tell,
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
