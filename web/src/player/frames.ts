/** How long a frame lasts, learnt from the frames shown. Pure. */

export const DEFAULT_FRAME_S = 1 / 25;
const MIN_FRAME_S = 1 / 120;
const MAX_FRAME_S = 1 / 5;

export interface ShownFrame {
  readonly mediaTime: number;
  readonly presentedFrames: number;
}

/** The duration of one frame between two that were shown, or the last guess if they tell nothing (a seek, a gap). */
export function frameDuration(before: ShownFrame | null, now: ShownFrame, guess: number): number {
  if (before === null) return guess;
  const frames = now.presentedFrames - before.presentedFrames;
  const seconds = (now.mediaTime - before.mediaTime) / frames;
  return frames > 0 && seconds >= MIN_FRAME_S && seconds <= MAX_FRAME_S ? seconds : guess;
}

/**
 * Where to seek to for the next (1) or previous (-1) frame: its middle, so that no rounding of times picks its
 * neighbour.
 */
export function frameStep(shownMediaTime: number, frames: 1 | -1, durationS: number): number {
  return Math.max(0, shownMediaTime + (frames + 0.5) * durationS);
}
