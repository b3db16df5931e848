import { useMemo } from "react";

import { listDays, type CourtPath } from "../api/client";
import { useResource } from "../api/useResource";
import { addDays, monthOf } from "../time/zone";

/** Days in the strip, today included. */
export const STRIP_DAYS = 14;

/** Days with footage of one month, with their coverage. Unknown is empty: marks are a help, not a condition. */
export function useMonth(path: CourtPath, month: string | null): ReadonlyMap<string, number> {
  const days = useResource(month === null ? null : `days/${path.club}/${path.court}/${month}`, (signal) =>
    listDays(path, month ?? "", signal),
  );
  const known = days.status === "ready" ? days.value.days : undefined;
  return useMemo(() => new Map(known?.map(({ date, coverage }) => [date, coverage])), [known]);
}

/** The same for the days of the strip, which may lie in two months. */
export function useRecentDays(path: CourtPath, today: string): ReadonlyMap<string, number> {
  const thisMonth = monthOf(today);
  const firstMonth = monthOf(addDays(today, 1 - STRIP_DAYS));
  const current = useMonth(path, thisMonth);
  const before = useMonth(path, firstMonth === thisMonth ? null : firstMonth);
  return useMemo(() => new Map([...before, ...current]), [before, current]);
}
