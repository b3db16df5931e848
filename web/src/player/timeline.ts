/**
 * Where a picture lies on two clocks: **media time** (seconds on the video element, closed up over gaps) and **wall
 * time** (milliseconds since 1970, the clock on the club's wall). Everything a player sees is wall time; only the video
 * element is spoken to in media time. Pure.
 */

/** A piece of the playlist: `EXTINF` and `EXT-X-PROGRAM-DATE-TIME`. */
export interface TimedFragment {
  readonly mediaStart: number;
  readonly duration: number;
  readonly wallStartMs: number;
}

/** A run without a break, in which both clocks go equally fast. */
export interface Span {
  readonly mediaStart: number;
  readonly mediaEnd: number;
  readonly wallStartMs: number;
  readonly wallEndMs: number;
}

/** A place on both clocks. */
export interface Position {
  readonly media: number;
  readonly wallMs: number;
}

/**
 * Fragments whose date agrees with the run before them to this much belong to it. Wider than the rounding of `EXTINF`
 * and dates to milliseconds, narrower than a frame (33 ms at 30 fps).
 */
const SAME_RUN_MS = 15;

/** Joins fragments, given in order, into runs. */
export function buildSpans(fragments: readonly TimedFragment[]): readonly Span[] {
  const spans: Span[] = [];
  for (const fragment of fragments) {
    const mediaEnd = fragment.mediaStart + fragment.duration;
    const last = spans.at(-1);
    if (last !== undefined) {
      const expectedMs = last.wallStartMs + (fragment.mediaStart - last.mediaStart) * 1000;
      if (Math.abs(fragment.wallStartMs - expectedMs) <= SAME_RUN_MS) {
        const wallEndMs = last.wallStartMs + (mediaEnd - last.mediaStart) * 1000;
        spans[spans.length - 1] = { ...last, mediaEnd, wallEndMs };
        continue;
      }
    }
    spans.push({
      mediaStart: fragment.mediaStart,
      mediaEnd,
      wallStartMs: fragment.wallStartMs,
      wallEndMs: fragment.wallStartMs + fragment.duration * 1000,
    });
  }
  return spans;
}

/** The wall time of a media time; the nearest there is when it lies outside. `null` without footage. */
export function mediaToWall(spans: readonly Span[], media: number): number | null {
  const first = spans[0];
  if (first === undefined) return null;
  if (media <= first.mediaStart) return first.wallStartMs;
  const span = lastWhere(spans, (candidate) => candidate.mediaStart <= media) ?? first;
  return Math.min(span.wallStartMs + (media - span.mediaStart) * 1000, span.wallEndMs);
}

/**
 * Where to look for a wall time: there, or where the picture comes back after the gap it falls into, or at the end of
 * what there is. `null` without footage.
 */
export function wallToPosition(spans: readonly Span[], wallMs: number): Position | null {
  const span = spans.find((candidate) => candidate.wallEndMs > wallMs);
  if (span === undefined) {
    const last = spans.at(-1);
    return last === undefined ? null : { media: last.mediaEnd, wallMs: last.wallEndMs };
  }
  if (wallMs <= span.wallStartMs) return { media: span.mediaStart, wallMs: span.wallStartMs };
  return { media: span.mediaStart + (wallMs - span.wallStartMs) / 1000, wallMs };
}

/** The same place, told by its media time. */
export function mediaToPosition(spans: readonly Span[], media: number): Position | null {
  const wallMs = mediaToWall(spans, media);
  return wallMs === null ? null : { media, wallMs };
}

/** The same runs with other media times. */
export function shiftSpans(spans: readonly Span[], bySeconds: number): readonly Span[] {
  return spans.map((span) => ({ ...span, mediaStart: span.mediaStart + bySeconds, mediaEnd: span.mediaEnd + bySeconds }));
}

/** The latest instant there is a picture of. */
export function edge(spans: readonly Span[]): number | null {
  return spans.at(-1)?.wallEndMs ?? null;
}

/** Stretches of media time (as `video.buffered` has them) as stretches of wall time, split at gaps. */
export function mediaRangesToWall(
  spans: readonly Span[],
  ranges: readonly (readonly [number, number])[],
): readonly (readonly [number, number])[] {
  return ranges.flatMap(([from, to]) =>
    spans
      .filter((span) => span.mediaStart < to && span.mediaEnd > from)
      .map(
        (span) =>
          [
            span.wallStartMs + (Math.max(from, span.mediaStart) - span.mediaStart) * 1000,
            span.wallStartMs + (Math.min(to, span.mediaEnd) - span.mediaStart) * 1000,
          ] as const,
      ),
  );
}

function lastWhere<T>(sorted: readonly T[], isBefore: (item: T) => boolean): T | undefined {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = sorted[middle];
    if (item !== undefined && isBefore(item)) low = middle + 1;
    else high = middle;
  }
  return sorted[low - 1];
}
