import Hls, { ErrorDetails, ErrorTypes, Events, type ErrorData, type LevelDetails } from "hls.js/light";

import type { Engine, EngineEvents } from "./engine";
import { startsWithIdr } from "./idr";
import type { Trouble } from "./recovery";
import { buildSpans, type Span } from "./timeline";

/** Seconds ahead; a phone on mobile data should not load a match it may not watch. */
const BUFFER_AHEAD_S = 30;
const MAX_BUFFER_AHEAD_S = 60;
/** Seconds kept behind, so that going back 30 s is instant. */
const BUFFER_BEHIND_S = 60;

/** hls.js tries a fragment once more by itself; `recovery.ts` then takes over, so that what is said and done agree. */
const FIRST_BYTE_TIMEOUT_MS = 10_000;
const LOAD_TIMEOUT_MS = 60_000;

const ADDRESS_NOT_GOOD = new Set([401, 403, 404, 410]);

export function isHlsSupported(): boolean {
  return Hls.isSupported();
}

export function createHlsEngine(video: HTMLVideoElement, events: EngineEvents): Engine {
  const hls = new Hls({
    // Fragmented MP4 passes through nearly untouched: a worker would cost more than it saves, and a `blob:` one is
    // against the content security policy.
    enableWorker: false,
    // Started by hand once the dates are known: no byte is loaded that does not belong to the asked moment.
    autoStartLoad: false,
    maxBufferLength: BUFFER_AHEAD_S,
    maxMaxBufferLength: MAX_BUFFER_AHEAD_S,
    backBufferLength: BUFFER_BEHIND_S,
    fragLoadPolicy: {
      default: {
        maxTimeToFirstByteMs: FIRST_BYTE_TIMEOUT_MS,
        maxLoadTimeMs: LOAD_TIMEOUT_MS,
        timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
        errorRetry: { maxNumRetry: 1, retryDelayMs: 500, maxRetryDelayMs: 500 },
      },
    },
  });
  let source = "";
  let startAt: (spans: readonly Span[]) => number = () => 0;
  let isStarted = false;

  const tellSpans = (details: LevelDetails): void => {
    const spans = buildSpans(
      details.fragments.flatMap((fragment) =>
        fragment.programDateTime === null
          ? []
          : [{ mediaStart: fragment.start, duration: fragment.duration, wallStartMs: fragment.programDateTime }],
      ),
    );
    events.onSpans(spans, !details.live);
    if (!isStarted) {
      isStarted = true;
      hls.startLoad(startAt(spans));
    }
  };

  hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
    tellSpans(details);
  });
  hls.on(Events.LEVEL_PTS_UPDATED, (_, { details }) => {
    tellSpans(details);
  });
  hls.on(Events.FRAG_LOADED, (_, { frag, payload }) => {
    if (!isFootage(frag) || startsWithIdr(frag.initSegment?.data, new Uint8Array(payload)) !== false) return;
    // Not every browser minds. Those that do say nothing: they drop the pictures, and the seek never ends.
    hls.stopLoad();
    window.setTimeout(() => {
      events.onTrouble("unstartable");
    });
  });
  hls.on(Events.FRAG_BUFFERED, (_, { frag }) => {
    if (isFootage(frag)) events.onProgress();
  });
  hls.on(Events.ERROR, (_, data) => {
    const trouble = troubleOf(data);
    if (trouble === "expired" || trouble === "unreached") hls.stopLoad();
    if (trouble !== null) events.onTrouble(trouble);
    else if (data.type === ErrorTypes.NETWORK_ERROR) events.onHiccup();
  });
  hls.attachMedia(video);

  return {
    load(url, start) {
      source = url;
      startAt = start;
      isStarted = false;
      hls.loadSource(url);
    },
    retry() {
      if (isStarted) hls.startLoad(video.currentTime);
      else hls.loadSource(source);
    },
    recoverMedia() {
      hls.recoverMediaError();
    },
    destroy() {
      hls.destroy();
    },
  };
}

/** Not an init segment, which always comes from the node. */
function isFootage(fragment: { readonly sn: number | "initSegment" } | undefined): boolean {
  return typeof fragment?.sn === "number";
}

/** An address that is no longer good, or leads nowhere, is told at once: hls.js would go on asking it. */
function troubleOf({ type, details, fatal, response, networkDetails, frag }: ErrorData): Trouble | null {
  if (type === ErrorTypes.NETWORK_ERROR) {
    const code = response?.code ?? 0;
    const isRefused = ADDRESS_NOT_GOOD.has(code);
    if (isRefused && !isElsewhere(networkDetails)) return "expired";
    // A browser that may not read an answer (no CORS) says as little as one that got none: status 0.
    const isSilent = details === ErrorDetails.FRAG_LOAD_ERROR && code === 0;
    if (isFootage(frag) && (isRefused || isSilent || fatal)) return "unreached";
  }
  if (!fatal) return null;
  switch (type) {
    case ErrorTypes.NETWORK_ERROR:
      return "network";
    case ErrorTypes.MEDIA_ERROR:
    case ErrorTypes.MUX_ERROR:
      return "media";
    case ErrorTypes.KEY_SYSTEM_ERROR:
    case ErrorTypes.OTHER_ERROR:
      return "other";
  }
}

/** Whether the answer came from where the node had sent to. */
function isElsewhere(request: unknown): boolean {
  if (!(request instanceof XMLHttpRequest) || request.responseURL === "") return false;
  return new URL(request.responseURL).origin !== window.location.origin;
}
