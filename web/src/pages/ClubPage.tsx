import { getClub } from "../api/client";
import type { Club, Court } from "../api/types";
import { useResource } from "../api/useResource";
import { useI18n } from "../i18n/context";
import { Link } from "../router/Link";
import { courtHref } from "../router/routes";
import { useNow } from "../time/useNow";
import { hoursOn, openingDay } from "../time/openingDay";
import { CourtArt } from "../ui/CourtArt";
import { Icon } from "../ui/Icon";
import { Heading } from "../ui/Layout";
import { LiveBadge } from "../ui/LiveBadge";
import { Notice } from "../ui/Notice";
import { Skeleton } from "../ui/Skeleton";
import { useTitle } from "../ui/useTitle";
import { ProblemPage } from "./ProblemPage";

/** How often the live badges are brought up to date. */
const REFRESH_MS = 15_000;

export function ClubPage({ slug }: { readonly slug: string }) {
  const club = useResource(`club/${slug}`, (signal) => getClub(slug, signal), () => REFRESH_MS);
  useTitle(club.status === "ready" ? club.value.name : null);
  if (club.status === "failed") return <ProblemPage problem={club.problem} onRetry={club.reload} />;
  if (club.status === "loading") return <Skeleton rows={3} kind="card" />;
  return <Courts club={club.value} />;
}

function Courts({ club }: { readonly club: Club }) {
  const { t } = useI18n();
  return (
    <>
      <Heading title={club.name}>
        <p className="facts">
          <span>{useHoursToday(club)}</span>
          <span>{t.club.matchLength(club.appointmentDuration)}</span>
        </p>
      </Heading>
      {club.courts.length === 0 ? (
        <Notice icon="question" title={t.club.empty} help={t.club.emptyHelp} isPage={false} />
      ) : (
        <>
          <h2>{t.club.lead}</h2>
          <ul className="courts">
            {club.courts.map((court) => (
              <li key={court.slug}>
                <CourtCard club={club} court={court} />
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function CourtCard({ club, court }: { readonly club: Club; readonly court: Court }) {
  const { t } = useI18n();
  const cameras = court.channels.length;
  const state = court.isLive ? t.liveNow : cameras === 0 ? t.club.noCamera : t.notLive;
  return (
    <Link className="court-card" href={courtHref(club.slug, court.slug)} data-live={court.isLive}>
      <span className="court-card-art">
        <CourtArt />
        {court.isLive && <LiveBadge />}
      </span>
      <span className="court-card-text">
        <span className="court-card-name">{court.name}</span>
        <span className="court-card-state">
          {state}
          {cameras > 1 && ` · ${t.club.cameras(cameras)}`}
        </span>
      </span>
      <Icon name="chevronRight" />
    </Link>
  );
}

function useHoursToday(club: Club): string {
  const { t } = useI18n();
  const today = hoursOn(openingDay(useNow(), club.zone, club.hours), club.hours);
  if (today.length === 0) return t.club.closedToday;
  return t.club.openToday(today.map(({ open, close }) => `${open}–${close}`).join(", "));
}
