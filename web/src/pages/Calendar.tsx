import { useEffect, useRef, useState } from "react";

import type { CourtPath } from "../api/client";
import { useI18n } from "../i18n/context";
import { capitalise, longDate, monthName, weekdayInitials } from "../i18n/format";
import { Link } from "../router/Link";
import { courtHref } from "../router/routes";
import { addMonths, daysInMonth, monthOf, weekdayOf } from "../time/zone";
import { Icon } from "../ui/Icon";
import { useMonth } from "./useDays";

interface CalendarProps {
  readonly path: CourtPath;
  readonly today: string;
  readonly shown: string;
  readonly onClose: () => void;
}

/** A month at a time, with the days that have footage marked. Days to come cannot be chosen. */
export function Calendar({ path, today, shown, onClose }: CalendarProps) {
  const { t, intl } = useI18n();
  const [month, setMonth] = useState(monthOf(shown));
  const footage = useMonth(path, month);
  const dialog = useRef<HTMLDialogElement>(null);

  useEffect(() => {
    dialog.current?.showModal();
  }, []);

  const dates = Array.from({ length: daysInMonth(month) }, (_, index) => `${month}-${String(index + 1).padStart(2, "0")}`);
  const blanks = weekdayOf(`${month}-01`);
  const turn = (by: number) => () => {
    setMonth(addMonths(month, by));
  };

  return (
    <dialog
      ref={dialog}
      className="calendar"
      aria-label={t.court.calendar}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === event.currentTarget) onClose();
      }}
    >
      <div className="calendar-body">
        <div className="calendar-head">
          <button type="button" className="control" onClick={turn(-1)} aria-label={t.court.previousMonth}>
            <Icon name="chevronLeft" />
          </button>
          <h2 aria-live="polite">{capitalise(monthName(month, intl))}</h2>
          <button
            type="button"
            className="control"
            onClick={turn(1)}
            disabled={month >= monthOf(today)}
            aria-label={t.court.nextMonth}
          >
            <Icon name="chevronRight" />
          </button>
          <button type="button" className="control" onClick={onClose} aria-label={t.court.closeCalendar}>
            <Icon name="close" />
          </button>
        </div>
        <div className="calendar-grid">
          {weekdayInitials(intl).map(({ short, long }) => (
            <abbr key={long} title={long} className="calendar-weekday">
              {short}
            </abbr>
          ))}
          {Array.from({ length: blanks }, (_, index) => (
            <span key={`blank-${index}`} />
          ))}
          {dates.map((date) => {
            const has = footage.has(date);
            const number = Number(date.slice(8));
            return date > today ? (
              <span key={date} className="calendar-day" aria-hidden="true" data-future="true">
                {number}
              </span>
            ) : (
              <Link
                key={date}
                className="calendar-day"
                href={courtHref(path.club, path.court, date === today ? undefined : date)}
                replace
                onClick={onClose}
                aria-current={date === shown ? "date" : undefined}
                aria-label={`${longDate(date, intl)}, ${has ? t.court.hasFootage : t.court.noFootage}`}
                data-footage={has}
              >
                {number}
                <span className="day-mark" />
              </Link>
            );
          })}
        </div>
        <p className="calendar-key">
          <span className="day-mark" /> {t.court.hasFootage}
        </p>
      </div>
    </dialog>
  );
}
