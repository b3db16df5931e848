import { useEffect, useRef, useState } from "react";

import type { CourtPath } from "../api/client";
import { useI18n } from "../i18n/context";
import { longDate, shortWeekday } from "../i18n/format";
import { Link } from "../router/Link";
import { courtHref } from "../router/routes";
import { addDays, formatDate } from "../time/zone";
import { Icon } from "../ui/Icon";
import { Calendar } from "./Calendar";
import { STRIP_DAYS } from "./useDays";

interface DayStripProps {
  readonly path: CourtPath;
  readonly today: string;
  readonly shown: string;
  readonly footage: ReadonlyMap<string, number>;
}

/** Today first, then back in time: matches are looked for soon after they were played. Older days: the calendar. */
export function DayStrip({ path, today, shown, footage }: DayStripProps) {
  const { t, intl } = useI18n();
  const [isOpen, setIsOpen] = useState(false);
  const strip = useRef<HTMLOListElement>(null);
  const days = Array.from({ length: STRIP_DAYS }, (_, index) => addDays(today, -index));
  const isElsewhere = !days.includes(shown);

  useEffect(() => {
    const list = strip.current;
    const current = list?.querySelector<HTMLElement>("[aria-current=date]");
    if (list === null || current === null || current === undefined) return;
    // Only sideways, and only the strip: the page itself stays where it is.
    list.scrollLeft = current.offsetLeft - list.clientWidth / 2 + current.clientWidth / 2;
  }, [shown]);

  const nameOf = (date: string): string =>
    date === today ? t.court.today : date === addDays(today, -1) ? t.court.yesterday : shortWeekday(date, intl);

  return (
    <nav className="days" aria-label={t.court.chooseDay}>
      <button
        type="button"
        className="day day-calendar"
        aria-expanded={isOpen}
        aria-label={isElsewhere ? `${t.court.calendar}: ${longDate(shown, intl)}` : t.court.calendar}
        data-current={isElsewhere}
        onClick={() => {
          setIsOpen(true);
        }}
      >
        <Icon name="calendar" />
        <span className="day-name">{isElsewhere ? formatDate(shown, intl, { day: "numeric", month: "short" }) : t.court.calendar}</span>
      </button>
      <ol className="day-strip" ref={strip}>
        {days.map((date) => {
          const has = footage.has(date);
          return (
            <li key={date}>
              <Link
                className="day"
                href={courtHref(path.club, path.court, date === today ? undefined : date)}
                replace
                aria-current={date === shown ? "date" : undefined}
                data-footage={has}
              >
                <span className="day-name">{nameOf(date)}</span>
                <span className="day-number">{Number(date.slice(8))}</span>
                <span className="visually-hidden">
                  , {longDate(date, intl)}, {has ? t.court.hasFootage : t.court.noFootage}
                </span>
                <span className="day-mark" />
              </Link>
            </li>
          );
        })}
      </ol>
      {isOpen && (
        <Calendar
          path={path}
          today={today}
          shown={shown}
          onClose={() => {
            setIsOpen(false);
          }}
        />
      )}
    </nav>
  );
}
