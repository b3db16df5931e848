import type { Replay } from "../api/types";
import { readGaps, type Gap } from "./gaps";
import type { Span } from "./timeline";

/** What the player needs of a replay, in its own units. */
export interface Match {
  readonly startMs: number;
  readonly endMs: number;
  readonly isLive: boolean;
  readonly zone: string;
  readonly gaps: readonly Gap[];
  readonly playlistUrl: string;
  /** The match as one MP4. */
  readonly fileUrl: string | null;
  /** Until when it is recorded so far, while it is being recorded. */
  readonly recordedUntilMs: number | null;
}

/** `null` if there is nothing to play. */
export function readMatch(replay: Replay): Match | null {
  if (replay.playlistUrl === null) return null;
  return {
    startMs: Date.parse(replay.start),
    endMs: Date.parse(replay.end),
    isLive: replay.isLive,
    zone: replay.club.zone,
    gaps: readGaps(replay.gaps),
    playlistUrl: replay.playlistUrl,
    fileUrl: replay.downloadUrl,
    recordedUntilMs: replay.recordedUntil === null ? null : Date.parse(replay.recordedUntil),
  };
}

/** Where the match lies in its file. */
export interface FileTimes {
  readonly spans: readonly Span[];
  /** Whether nothing more will come. */
  readonly isComplete: boolean;
}

/** The file begins with the match's first picture, is closed up over gaps, and ends where the recording has got to. */
export function fileTimes(match: Match): FileTimes {
  const untilMs = Math.min(match.endMs, match.recordedUntilMs ?? match.endMs);
  const spans: Span[] = [];
  let fromMs = match.startMs;
  for (const { startMs, endMs } of [...match.gaps, { startMs: untilMs, endMs: untilMs }]) {
    const toMs = Math.min(startMs, untilMs);
    if (toMs > fromMs) {
      const mediaStart = spans.at(-1)?.mediaEnd ?? 0;
      spans.push({ mediaStart, mediaEnd: mediaStart + (toMs - fromMs) / 1000, wallStartMs: fromMs, wallEndMs: toMs });
    }
    fromMs = Math.max(fromMs, endMs);
  }
  return { spans, isComplete: !match.isLive || untilMs === match.endMs };
}
