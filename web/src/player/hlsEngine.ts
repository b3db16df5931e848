import Hls, {
  ErrorDetails,
  ErrorTypes,
  Events,
  type ErrorData,
  type HlsConfig,
  type LevelDetails,
  type Loader,
  type LoaderCallbacks,
  type LoaderConfiguration,
  type PlaylistLoaderContext,
} from "hls.js/light";

import type { Engine, EngineEvents } from "./engine";
import { startsWithIdr } from "./idr";
import { initsOf, playable, readTracks, type Playable, type Tracks } from "./playable";
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

/** This browser does not know the codec: no attempt helps. */
const CODEC_UNKNOWN: ReadonlySet<ErrorDetails> = new Set([
  ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR,
  ErrorDetails.BUFFER_ADD_CODEC_ERROR,
  ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
]);

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
    pLoader: playableLoader(({ leftOut, needsFile }) => {
      if (leftOut.length > 0) events.onLeftOut(leftOut);
      if (needsFile) {
        window.setTimeout(() => {
          events.onTrouble("unstartable");
        });
      }
    }),
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

type PlaylistLoader = new (config: HlsConfig) => Loader<PlaylistLoaderContext>;

/** Reads playlists without what this browser cannot play, and tells what that was. */
function playableLoader(tell: (playable: Playable) => void): PlaylistLoader {
  const known = new Map<string, Tracks>();
  const Usual = Hls.DefaultConfig.loader as unknown as PlaylistLoader;
  return class extends Usual {
    #isGone = false;

    override load(context: PlaylistLoaderContext, config: LoaderConfiguration, callbacks: LoaderCallbacks<PlaylistLoaderContext>): void {
      super.load(context, config, {
        ...callbacks,
        onSuccess: (response, stats, asked, details) => {
          const text = typeof response.data === "string" ? response.data : "";
          void learn(text, new URL(response.url, window.location.href), known).then(() => {
            if (this.#isGone) return;
            const read = playable(text, known, canPlay);
            tell(read);
            // The match is about to be played as a file: what hls.js would make of it is no matter.
            if (!read.needsFile) callbacks.onSuccess({ ...response, data: read.text }, stats, asked, details);
          });
        },
      });
    }

    override destroy(): void {
      this.#isGone = true;
      super.destroy();
    }
  };
}

/** Reads the init sections that are new. One that does not come is left to hls.js, which asks again and says why. */
async function learn(text: string, base: URL, known: Map<string, Tracks>): Promise<void> {
  await Promise.all(
    initsOf(text)
      .filter((uri) => !known.has(uri))
      .map(async (uri) => {
        const answer = await fetch(new URL(uri, base)).catch(() => null);
        if (answer?.ok === true) known.set(uri, readTracks(new Uint8Array(await answer.arrayBuffer())));
      }),
  );
}

function canPlay({ video, audio }: Tracks): boolean {
  const codecs = [video, audio].filter((codec) => codec !== null).join(",");
  return codecs === "" || MediaSource.isTypeSupported(`${video === null ? "audio" : "video"}/mp4; codecs="${codecs}"`);
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
  if (CODEC_UNKNOWN.has(details)) return "undecodable";
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
