import { listSlots, type MatchPath } from "../api/client";
import { useResource } from "../api/useResource";
import { useI18n } from "../i18n/context";
import { Link } from "../router/Link";
import { courtHref } from "../router/routes";
import { nearestSlots } from "./nearestSlots";
import { SlotCard } from "./SlotCard";

const SHOWN = 4;

/** Where a start time leads nowhere: the nearest ones of that day that lead somewhere. */
export function OtherSlots({ path }: { readonly path: MatchPath }) {
  const { t } = useI18n();
  const { club, court, date, time } = path;
  const slots = useResource(`slots/${club}/${court}/${date}`, (signal) => listSlots(path, date, signal));
  const others = slots.status === "ready" ? slots.value.slots.filter((slot) => slot.time !== time) : [];
  const nearest = nearestSlots(others, time, SHOWN);
  return (
    <>
      {slots.status === "ready" && slots.value.slots.length === 0 && <p>{t.problems.noSlotsThatDay}</p>}
      {nearest.length > 0 && (
        <ul className="slots">
          {nearest.map((slot) => (
            <li key={slot.start}>
              <SlotCard path={path} date={date} slot={slot} zone={slots.status === "ready" ? slots.value.zone : "UTC"} />
            </li>
          ))}
        </ul>
      )}
      <Link className="button button-primary" href={courtHref(club, court, date)}>
        {t.problems.chooseTime}
      </Link>
    </>
  );
}
