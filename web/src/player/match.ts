import type { Replay } from "../api/types";
import { readGaps, type Gap } from "./gaps";

/** What the player needs of a replay, in its own units. */
export interface Match {
  readonly startMs: number;
  readonly endMs: number;
  readonly isLive: boolean;
  readonly zone: string;
  readonly gaps: readonly Gap[];
  readonly playlistUrl: string;
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
  };
}
