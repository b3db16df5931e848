import { addDays, formatDate } from "../time/zone";

/** A share as a percentage that never lies: only everything is 100 %, only nothing is 0 %. */
export function percent(share: number, intl: string): string {
  const whole = share >= 1 ? 100 : share <= 0 ? 0 : Math.min(99, Math.max(1, Math.round(share * 100)));
  return new Intl.NumberFormat(intl, { style: "percent", maximumFractionDigits: 0 }).format(whole / 100);
}

/** "sábado, 21 de noviembre". */
export function longDate(date: string, intl: string): string {
  return formatDate(date, intl, { weekday: "long", day: "numeric", month: "long" });
}

/** "sáb", "sat": above the number in the day strip. */
export function shortWeekday(date: string, intl: string): string {
  return formatDate(date, intl, { weekday: "short" }).replace(".", "");
}

/** "noviembre de 2026". */
export function monthName(month: string, intl: string): string {
  return formatDate(`${month}-15`, intl, { month: "long", year: "numeric" });
}

/** Monday to Sunday, one or two letters. 2024-01-01 was a Monday. */
export function weekdayInitials(intl: string): readonly { readonly short: string; readonly long: string }[] {
  return Array.from({ length: 7 }, (_, index) => {
    const date = addDays("2024-01-01", index);
    return {
      short: formatDate(date, intl, { weekday: "narrow" }),
      long: formatDate(date, intl, { weekday: "long" }),
    };
  });
}

export function capitalise(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}
