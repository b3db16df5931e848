import { elementTrouble } from "./elementTrouble";
import type { Engine, EngineEvents } from "./engine";
import { readPlaylist } from "./playlist";
import { buildSpans, type Span } from "./timeline";

/** How often a growing playlist is read again for its dates; the browser reads it for itself besides. */
const REREAD_MS = 4_000;

/** Safari on older iPhones: the browser plays the playlist; we read it too, to know the wall time of each picture. */
export function createNativeEngine(video: HTMLVideoElement, events: EngineEvents): Engine {
  let source = "";
  let startAt: (spans: readonly Span[]) => number = () => 0;
  let abort = new AbortController();
  let timer: number | undefined;

  const read = async (url: string, signal: AbortSignal): Promise<void> => {
    let isComplete = false;
    try {
      const response = await fetch(url, { signal });
      if (!response.ok) {
        events.onTrouble(response.status >= 500 ? "network" : "expired");
        return;
      }
      const playlist = readPlaylist(await response.text());
      const spans = buildSpans(playlist.fragments);
      isComplete = playlist.isComplete;
      events.onSpans(spans, isComplete);
      if (video.src === "") {
        video.addEventListener("loadedmetadata", () => (video.currentTime = startAt(spans)), { once: true, signal });
        video.src = url;
      }
    } catch {
      if (signal.aborted) return;
      events.onTrouble("network");
    }
    if (!isComplete && !signal.aborted) timer = window.setTimeout(() => void read(url, signal), REREAD_MS);
  };

  const begin = (): void => {
    abort.abort();
    abort = new AbortController();
    window.clearTimeout(timer);
    video.removeAttribute("src");
    void read(source, abort.signal);
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

  const again = (): void => {
    const at = video.currentTime;
    if (at > 0) startAt = () => at;
    begin();
  };

  return {
    load(url, start) {
      source = url;
      startAt = start;
      begin();
    },
    retry: again,
    recoverMedia: again,
    destroy() {
      abort.abort();
      window.clearTimeout(timer);
      video.removeEventListener("error", onError);
      video.removeEventListener("loadeddata", onProgress);
      video.removeAttribute("src");
      video.load();
    },
  };
}
