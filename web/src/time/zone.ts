/**
 * Club-local dates and times. Instants are milliseconds since 1970 (UTC); a local date is `YYYY-MM-DD`, a local time
 * `HH:MM` or `HH:MM:SS`. Only here does a time zone come in; all of it through `Intl`, so that daylight saving is the
 * browser's knowledge and not ours.
 */

export interface LocalParts {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

const DAY_MS = 86_400_000;
const formatters = new Map<string, Intl.DateTimeFormat>();

/** Formatters are dear to make (tens of µs) and asked for several times a second while a match plays. */
export function formatter(locale: string, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${locale}|${zone}|${JSON.stringify(options)}`;
  let found = formatters.get(key);
  if (found === undefined) {
    found = make(locale, zone, options);
    formatters.set(key, found);
  }
  return found;
}

/** A zone this browser has never heard of (its data is old, the zone new) must not take the page down: show UTC. */
function make(locale: string, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat(locale, { ...options, timeZone: zone });
  } catch {
    return new Intl.DateTimeFormat(locale, { ...options, timeZone: "UTC" });
  }
}

export function localParts(instantMs: number, zone: string): LocalParts {
  const parts = formatter("en-GB", zone, {
    calendar: "gregory",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).formatToParts(instantMs);
  const of = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.find((part) => part.type === type)?.value);
  return {
    year: of("year"),
    month: of("month"),
    day: of("day"),
    hour: of("hour"),
    minute: of("minute"),
    second: of("second"),
  };
}

export function localDate(instantMs: number, zone: string): string {
  const { year, month, day } = localParts(instantMs, zone);
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
}

/** `HH:MM`. */
export function localTime(instantMs: number, zone: string): string {
  const { hour, minute } = localParts(instantMs, zone);
  return `${two(hour)}:${two(minute)}`;
}

/** `HH:MM:SS`. */
export function localTimeOfDay(instantMs: number, zone: string): string {
  const { hour, minute, second } = localParts(instantMs, zone);
  return `${two(hour)}:${two(minute)}:${two(second)}`;
}

export function secondsOfDay(instantMs: number, zone: string): number {
  const { hour, minute, second } = localParts(instantMs, zone);
  return hour * 3600 + minute * 60 + second;
}

/** Whether `date` is a `YYYY-MM-DD` that the calendar knows. */
export function isDate(date: string): boolean {
  const instant = noonUtc(date);
  return /^\d{4}-\d{2}-\d{2}$/.test(date) && !Number.isNaN(instant) && new Date(instant).toISOString().startsWith(date);
}

export function addDays(date: string, days: number): string {
  return new Date(noonUtc(date) + days * DAY_MS).toISOString().slice(0, 10);
}

/** `YYYY-MM` of a date. */
export function monthOf(date: string): string {
  return date.slice(0, 7);
}

export function addMonths(month: string, months: number): string {
  const year = Number(month.slice(0, 4));
  const index = Number(month.slice(5, 7)) - 1 + months;
  return new Date(Date.UTC(year, index, 1, 12)).toISOString().slice(0, 7);
}

/** 0 = Monday … 6 = Sunday. */
export function weekdayOf(date: string): number {
  return (new Date(noonUtc(date)).getUTCDay() + 6) % 7;
}

export function daysInMonth(month: string): number {
  return new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5, 7)), 0)).getUTCDate();
}

/** A local date as text. It has no zone of its own: formatted at noon UTC, as UTC. */
export function formatDate(date: string, locale: string, options: Intl.DateTimeFormatOptions): string {
  const instant = noonUtc(date);
  return Number.isNaN(instant) ? date : formatter(locale, "UTC", options).format(instant);
}

function noonUtc(date: string): number {
  return Date.parse(`${date}T12:00:00Z`);
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
