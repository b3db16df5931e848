/** Whether a live picture stands still. Pure: the clock is an argument. */

/** A picture that has not moved for this long has stopped, in ms. With the watch's half second it is said within 3 s. */
export const STALLED_AFTER_MS = 2_000;

/** Tells of each look at the video whether its picture has stood still for too long. A picture that never moved is still loading. */
export function stallWatch(): (currentTimeS: number, isPaused: boolean, nowMs: number) => boolean {
  let lastS: number | null = null;
  let movedMs = 0;
  let hasMoved = false;
  return (currentTimeS, isPaused, nowMs) => {
    if (isPaused || lastS !== currentTimeS) {
      hasMoved ||= lastS !== null && !isPaused;
      lastS = currentTimeS;
      movedMs = nowMs;
      return false;
    }
    return hasMoved && nowMs - movedMs >= STALLED_AFTER_MS;
  };
}
