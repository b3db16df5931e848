/** The `?t=HH:MM:SS` of a shared link: a club-local time of day within the match. Pure. */
import { localTimeOfDay, secondsOfDay } from "../time/zone";

const DAY_S = 86_400;

/** The instant meant, or `null` if it is no time or not one of this match. */
export function momentToInstant(moment: string, startMs: number, endMs: number, zone: string): number | null {
  const match = /^(\d{1,2}):(\d{2}):(\d{2})$/.exec(moment);
  if (match === null) return null;
  const [hour, minute, second] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (hour > 23 || minute > 59 || second > 59) return null;
  const wanted = hour * 3600 + minute * 60 + second;
  // Counted from the whole second in which the match starts; matches may run past midnight.
  const wholeStartMs = Math.floor(startMs / 1000) * 1000;
  let instant = wholeStartMs + mod(wanted - secondsOfDay(wholeStartMs, zone), DAY_S) * 1000;
  // The clocks changed since the start: what is off now is off by the change.
  const off = mod(wanted - secondsOfDay(instant, zone) + DAY_S / 2, DAY_S) - DAY_S / 2;
  instant += off * 1000;
  if (instant < wholeStartMs || instant >= endMs || localTimeOfDay(instant, zone) !== pad(moment)) return null;
  return Math.max(instant, startMs);
}

function pad(moment: string): string {
  return moment.padStart(8, "0");
}

function mod(value: number, by: number): number {
  return ((value % by) + by) % by;
}
