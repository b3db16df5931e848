import { listSlots, type MatchPath } from "../api/client";
import type { Slot } from "../api/types";
import { useResource } from "../api/useResource";
import { useI18n } from "../i18n/context";
import { Link } from "../router/Link";
import { courtHref, matchHref } from "../router/routes";
import { Icon } from "../ui/Icon";
import { neighbours } from "./nearestSlots";

/** The matches before and after this one on the same court. */
export function Neighbours({ path, start }: { readonly path: MatchPath; readonly start: string }) {
  const { t } = useI18n();
  const { club, court, date } = path;
  const slots = useResource(`slots/${club}/${court}/${date}`, (signal) => listSlots(path, date, signal));
  const { before, after } = slots.status === "ready" ? neighbours(slots.value.slots, start) : {};
  const href = (slot: Slot): string =>
    matchHref({ club, court, date, time: slot.time, offset: slot.isAmbiguous ? slot.offset : undefined });
  return (
    <nav className="neighbours" aria-label={t.match.otherTimes}>
      {before === undefined ? (
        <span />
      ) : (
        <Link className="button" href={href(before)} aria-label={`${t.match.previous}: ${before.time}`}>
          <Icon name="chevronLeft" />
          {before.time}
        </Link>
      )}
      <Link className="button button-plain" href={courtHref(club, court, date)}>
        {t.match.allTimes}
      </Link>
      {after === undefined ? (
        <span />
      ) : (
        <Link className="button" href={href(after)} aria-label={`${t.match.next}: ${after.time}`}>
          {after.time}
          <Icon name="chevronRight" />
        </Link>
      )}
    </nav>
  );
}
