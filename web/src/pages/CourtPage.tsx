import { getClub, listSlots, type CourtPath } from "../api/client";
import type { Club, Court, Slot } from "../api/types";
import { useResource } from "../api/useResource";
import { useI18n } from "../i18n/context";
import { capitalise, longDate } from "../i18n/format";
import { LivePlayer } from "../live/LivePlayer";
import { Link } from "../router/Link";
import { clubHref, courtHref } from "../router/routes";
import { openingDay } from "../time/openingDay";
import { useNow } from "../time/useNow";
import { isDate } from "../time/zone";
import { Icon } from "../ui/Icon";
import { Heading } from "../ui/Layout";
import { LiveBadge } from "../ui/LiveBadge";
import { Notice } from "../ui/Notice";
import { Skeleton } from "../ui/Skeleton";
import { useTitle } from "../ui/useTitle";
import { DayStrip } from "./DayStrip";
import { NoSound } from "./NoSound";
import { CourtNotFound, ProblemPage } from "./ProblemPage";
import { SlotCard } from "./SlotCard";
import { useRecentDays } from "./useDays";

/** While a match is being played its share grows; otherwise the next slot will begin some time. */
const REFRESH_MS = 20_000;
/** How soon it is seen that the court goes live. */
const LIVE_REFRESH_MS = 15_000;

interface CourtPageProps extends CourtPath {
  readonly date?: string | undefined;
}

export function CourtPage({ club: slug, court: courtSlug, date }: CourtPageProps) {
  const club = useResource(`club/${slug}`, (signal) => getClub(slug, signal), () => LIVE_REFRESH_MS);
  if (club.status === "failed") return <ProblemPage problem={club.problem} onRetry={club.reload} />;
  if (club.status === "loading") return <Skeleton rows={4} kind="card" />;
  const court = club.value.courts.find((candidate) => candidate.slug === courtSlug);
  if (court === undefined) return <CourtNotFound club={slug} />;
  if (date !== undefined && !isDate(date)) {
    const problem = { kind: "refused", code: "invalid_date", detail: "", offsets: [], retryAt: null } as const;
    return <ProblemPage problem={problem} club={slug} court={courtSlug} onRetry={club.reload} />;
  }
  return <Day club={club.value} court={court} date={date} />;
}

interface DayProps {
  readonly club: Club;
  readonly court: Court;
  readonly date: string | undefined;
}

function Day({ club, court, date }: DayProps) {
  const { t, intl } = useI18n();
  const today = openingDay(useNow(), club.zone, club.hours);
  const shown = date ?? today;
  const path: CourtPath = { club: club.slug, court: court.slug };
  const footage = useRecentDays(path, today);
  const slots = useResource(
    `slots/${club.slug}/${court.slug}/${shown}`,
    (signal) => listSlots(path, shown, signal),
    ({ slots: all }) => (all.some((slot) => slot.state !== "past") ? REFRESH_MS : null),
  );
  const dayName = shown === today ? t.court.today : capitalise(longDate(shown, intl));
  useTitle(court.name, dayName, club.name);

  return (
    <>
      <Heading title={court.name} back={{ href: clubHref(club.slug), label: club.name }}>
        {court.isLive && <LiveBadge />}
      </Heading>
      <LivePlayer key={court.slug} url={court.liveUrl ?? null} />
      {club.access !== "open" && <LockedHint club={club} court={court} />}
      <NoSound leftOut={court.channels.find((channel) => channel.liveUrl === court.liveUrl)?.audioLeftOut} />
      <DayStrip path={path} today={today} shown={shown} footage={footage} />
      <section aria-labelledby="times">
        <div className="section-head">
          <h2 id="times">{t.court.startTimes}</h2>
          <p>{shown === today ? `${t.court.today}, ${longDate(shown, intl)}` : dayName}</p>
        </div>
        {slots.status === "failed" && (
          <ProblemPage problem={slots.problem} club={club.slug} court={court.slug} onRetry={slots.reload} />
        )}
        {slots.status === "loading" && <Skeleton rows={6} kind="card" />}
        {slots.status === "ready" && (
          <Slots path={path} date={shown} today={today} slots={slots.value.slots} zone={slots.value.zone} footage={footage} court={court} />
        )}
      </section>
    </>
  );
}

/** What opens the matches of this club, and the court that is live, before anyone tries one. */
function LockedHint({ club, court }: { readonly club: Club; readonly court: Court }) {
  const { t } = useI18n();
  const isCode = club.access === "code";
  const isLiveLocked = court.isLive && court.liveUrl === null;
  return (
    <div className="hint locked-hint">
      <Icon name="lock" />
      <p>
        {isCode ? t.access.codeHint : t.access.linkHint}
        {isLiveLocked && <small>{isCode ? t.access.liveWithCode : t.access.liveWithLink}</small>}
      </p>
    </div>
  );
}

interface SlotsProps {
  readonly path: CourtPath;
  readonly date: string;
  readonly today: string;
  readonly slots: readonly Slot[];
  readonly zone: string;
  readonly footage: ReadonlyMap<string, number>;
  readonly court: Court;
}

function Slots({ path, date, today, slots, zone, footage, court }: SlotsProps) {
  const { t, intl } = useI18n();
  const of = (state: Slot["state"]): readonly Slot[] => slots.filter((slot) => slot.state === state);
  const [live, past, future] = [of("live"), of("past"), of("future")];
  // Newest first: matches are looked for soon after they were played.
  const played = past.filter((slot) => slot.coverage > 0).reverse();
  const unrecorded = past.filter((slot) => slot.coverage <= 0).reverse();
  const hasCamera = court.channels.length > 0;
  const isEmpty = past.length > 0 && [...past, ...live].every((slot) => slot.coverage === 0);
  const lastDay = [...footage.keys()].filter((day) => day !== date).sort().at(-1);
  const elsewhere =
    lastDay === undefined ? null : (
      <Link className="button button-primary" href={courtHref(path.club, path.court, lastDay)}>
        {lastDay === today ? t.court.showToday : t.court.lastDayWithFootage(longDate(lastDay, intl))}
      </Link>
    );

  if (slots.length === 0) {
    return (
      <Notice icon="calendar" title={t.court.closed} help={t.court.closedHelp} isPage={false}>
        {elsewhere}
      </Notice>
    );
  }
  const cards = (group: readonly Slot[]) => (
    <ul className="slots">
      {group.map((slot) => (
        <li key={slot.start}>
          <SlotCard path={path} date={date} slot={slot} zone={zone} hasCamera={hasCamera} />
        </li>
      ))}
    </ul>
  );
  return (
    <>
      {(isEmpty || !hasCamera) && (
        <div className="hint">
          <p>{hasCamera ? t.court.nothingRecorded : t.court.noCamera(court.name)}</p>
          {elsewhere}
        </div>
      )}
      {live.length > 0 && (
        <div className="slot-group" data-state="live">
          <h3>{t.court.nowPlaying}</h3>
          {cards(live)}
        </div>
      )}
      {past.length > 0 && (
        <div className="slot-group" data-state="past">
          {(live.length > 0 || future.length > 0) && <h3>{t.court.played}</h3>}
          {played.length > 0 && cards(played)}
          {unrecorded.length > 0 && (
            <details className="slots-unrecorded">
              <summary>{t.court.unrecorded(unrecorded.length)}</summary>
              {cards(unrecorded)}
            </details>
          )}
        </div>
      )}
      {future.length > 0 && (
        <div className="slot-group" data-state="future">
          <h3>{t.court.later}</h3>
          <p className="quiet">{t.court.laterHelp}</p>
          {cards(future)}
        </div>
      )}
    </>
  );
}
