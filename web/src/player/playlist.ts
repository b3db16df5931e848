/**
 * Addresses of HLS media playlists, and the dates in them (RFC 8216 §4.3). The dates are read only where the browser plays HLS itself: it does not say
 * where the gaps are, so the mapping between media and wall time is made from the playlist. Pure.
 */
import type { TimedFragment } from "./timeline";

/** The address of the same playlist whose footage comes from the node, wherever it lies. */
export function viaNode(playlistUrl: string): string {
  return `${playlistUrl}${playlistUrl.includes("?") ? "&" : "?"}via=node`;
}

export interface ReadPlaylist {
  readonly fragments: readonly TimedFragment[];
  /** Whether nothing will be added (`EXT-X-ENDLIST`). */
  readonly isComplete: boolean;
}

export function readPlaylist(text: string): ReadPlaylist {
  const fragments: TimedFragment[] = [];
  let isComplete = false;
  let mediaStart = 0;
  let duration: number | null = null;
  let wallStartMs: number | null = null;
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#EXTINF:")) {
      duration = Number.parseFloat(line.slice("#EXTINF:".length));
    } else if (line.startsWith("#EXT-X-PROGRAM-DATE-TIME:")) {
      wallStartMs = Date.parse(line.slice("#EXT-X-PROGRAM-DATE-TIME:".length));
    } else if (line.startsWith("#EXT-X-ENDLIST")) {
      isComplete = true;
    } else if (line !== "" && !line.startsWith("#") && duration !== null) {
      if (wallStartMs !== null) fragments.push({ mediaStart, duration, wallStartMs });
      mediaStart += duration;
      // A date holds for what follows without a break, until the next one.
      wallStartMs = wallStartMs === null ? null : wallStartMs + duration * 1000;
      duration = null;
    }
  }
  return { fragments, isComplete };
}
