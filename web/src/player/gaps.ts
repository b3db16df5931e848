/** What is missing of a match: where to draw it, when to say it, how to tell it. Pure. */
import type { Gap as ApiGap, GapCause } from "../api/types";
import { localTime, localTimeOfDay } from "../time/zone";

export interface Gap {
  readonly startMs: number;
  readonly endMs: number;
  readonly cause: GapCause;
}

/** Shorter ones are drawn, but nobody is interrupted for them. */
export const MIN_TOLD_GAP_MS = 1_000;

/** From this length on a gap is told in minutes. */
const TOLD_IN_MINUTES_MS = 120_000;

/** How far the dates of the playlist and those of the answer may disagree about a gap's edge. */
const EDGE_TOLERANCE_MS = 600;

export function readGaps(gaps: readonly ApiGap[]): readonly Gap[] {
  return gaps
    .map(({ start, end, cause }) => ({ startMs: Date.parse(start), endMs: Date.parse(end), cause }))
    .filter((gap) => gap.endMs > gap.startMs);
}

/** The gap that holds this instant. */
export function gapAt(gaps: readonly Gap[], wallMs: number): Gap | null {
  return gaps.find((gap) => gap.startMs <= wallMs && wallMs < gap.endMs) ?? null;
}

/** The gap that playing on from one instant to the next jumped over, if it is worth telling. */
export function gapCrossed(gaps: readonly Gap[], beforeMs: number, afterMs: number): Gap | null {
  return (
    gaps.find(
      (gap) =>
        gap.endMs - gap.startMs >= MIN_TOLD_GAP_MS &&
        beforeMs <= gap.startMs + EDGE_TOLERANCE_MS &&
        afterMs >= gap.endMs - EDGE_TOLERANCE_MS &&
        afterMs - beforeMs >= (gap.endMs - gap.startMs) / 2,
    ) ?? null
  );
}

/** "10:12" and "10:14"; with seconds where the gap is short. */
export function gapTimes(gap: Gap, zone: string): { readonly from: string; readonly to: string } {
  const tell = gap.endMs - gap.startMs >= TOLD_IN_MINUTES_MS ? localTime : localTimeOfDay;
  return { from: tell(gap.startMs, zone), to: tell(gap.endMs, zone) };
}

/** A stretch of the scrubber, as shares of its width. */
export interface Stretch {
  readonly left: number;
  readonly width: number;
}

/** Where `[fromMs, toMs)` lies within the scrubber's range; `null` if outside. */
export function stretch(fromMs: number, toMs: number, range: { startMs: number; endMs: number }): Stretch | null {
  const length = range.endMs - range.startMs;
  const from = Math.max(fromMs, range.startMs);
  const to = Math.min(toMs, range.endMs);
  if (length <= 0 || to <= from) return null;
  return { left: (from - range.startMs) / length, width: (to - from) / length };
}
