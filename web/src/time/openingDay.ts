import type { OpeningHours } from "../api/types";
import { addDays, localDate, localParts, weekdayOf } from "./zone";

const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

/** The opening periods that begin on a club-local date. */
export function hoursOn(date: string, hours: readonly OpeningHours[]): readonly OpeningHours[] {
  const weekday = WEEKDAYS[weekdayOf(date)];
  return hours.filter((period) => period.weekday === weekday);
}

/**
 * The date that "today" means at a club: the local date, except after midnight while the club is still open from the
 * evening before. A slot belongs to the date on which its opening period began.
 */
export function openingDay(nowMs: number, zone: string, hours: readonly OpeningHours[]): string {
  const today = localDate(nowMs, zone);
  const yesterday = addDays(today, -1);
  const { hour, minute } = localParts(nowMs, zone);
  const now = hour * 60 + minute;
  const isStillOpen = hoursOn(yesterday, hours).some((period) => {
    const close = minutes(period.close);
    return close <= minutes(period.open) && now < close;
  });
  return isStillOpen ? yesterday : today;
}

function minutes(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}
