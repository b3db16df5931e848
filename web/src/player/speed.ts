export const SPEEDS = [0.25, 0.5, 1, 1.5, 2] as const;

/** The next faster or slower speed; the same at either end. */
export function neighbourSpeed(current: number, by: 1 | -1): number {
  const nearest = SPEEDS.reduce((best, speed) => (Math.abs(speed - current) < Math.abs(best - current) ? speed : best));
  const index = SPEEDS.indexOf(nearest) + by;
  return SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, index))] ?? 1;
}
