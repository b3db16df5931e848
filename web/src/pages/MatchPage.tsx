import { useCallback, useEffect, useMemo } from "react";

import { getReplay, type MatchPath } from "../api/client";
import type { Problem } from "../api/problem";
import type { Replay } from "../api/types";
import { useResource } from "../api/useResource";
import { useI18n } from "../i18n/context";
import { capitalise, longDate, percent } from "../i18n/format";
import { preloadEngine } from "../player/engine";
import { readMatch, type Match } from "../player/match";
import { momentToInstant } from "../player/moment";
import { Player } from "../player/Player";
import { courtHref } from "../router/routes";
import { localTime } from "../time/zone";
import { Heading } from "../ui/Layout";
import { LiveBadge } from "../ui/LiveBadge";
import { Skeleton } from "../ui/Skeleton";
import { useTitle } from "../ui/useTitle";
import { MatchActions } from "./MatchActions";
import { MatchProblem } from "./MatchProblem";
import { Missing } from "./Missing";
import { Neighbours } from "./Neighbours";
import { NoFootage } from "./NoFootage";
import { NoSound } from "./NoSound";
import { Shortcuts } from "./Shortcuts";

/** While a match is being played: how often its gaps and its end are asked for. */
const LIVE_REFRESH_MS = 10_000;

/** A clock that runs ahead must not make the page ask without end. */
const LEAST_RENEWAL_MS = 60_000;
/** Longer timers fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

interface MatchPageProps extends MatchPath {
  /** `HH:MM:SS` to begin at. */
  readonly at?: string | undefined;
}

export function MatchPage({ at, ...given }: MatchPageProps) {
  const { club, court, date, time, offset } = given;
  const path = useMemo(() => ({ club, court, date, time, offset }), [club, court, date, time, offset]);
  useEffect(preloadEngine, []);
  const key = `replay/${club}/${court}/${date}/${time}/${offset ?? ""}`;
  const replay = useResource(
    key,
    (signal) => getReplay(path, signal),
    refreshAfterMs,
  );
  if (replay.status === "failed") return <MatchProblem path={path} problem={replay.problem} onRetry={replay.reload} />;
  if (replay.status === "loading") return <Skeleton rows={1} kind="player" />;
  return <Watch key={key} path={path} replay={replay.value} at={at} />;
}

/** While it is played, for what is new; later when the addresses in the answer expire, as a page may stay open for days. */
function refreshAfterMs({ isLive, start, expiresAt }: Replay): number {
  const now = Date.now();
  if (isLive || Date.parse(start) > now) return LIVE_REFRESH_MS;
  return Math.min(Math.max(Date.parse(expiresAt) - now, LEAST_RENEWAL_MS), MAX_TIMER_MS);
}

/** Whether the server said no, and not only that it cannot answer now. */
function isRefusal(problem: Problem): boolean {
  return problem.kind === "refused" && !["busy", "timeout", "internal"].includes(problem.code);
}

interface WatchProps {
  readonly path: MatchPath;
  readonly replay: Replay;
  readonly at: string | undefined;
}

function Watch({ path, replay, at }: WatchProps) {
  const { t, intl } = useI18n();
  const { zone } = replay.club;
  const match = useMemo(() => readMatch(replay), [replay]);
  const from = localTime(Date.parse(replay.start), zone);
  const to = localTime(Date.parse(replay.end), zone);
  const day = capitalise(longDate(path.date, intl));
  useTitle(t.match.title(replay.court.name, from), day, replay.club.name);

  const renew = useCallback(async (): Promise<Match | "gone" | null> => {
    const outcome = await getReplay(path, AbortSignal.timeout(RENEW_TIMEOUT_MS)).catch(() => null);
    if (outcome === null) return null;
    if (outcome.ok) return readMatch(outcome.value) ?? "gone";
    return isRefusal(outcome.problem) ? "gone" : null;
  }, [path]);

  if (match === null) return <NoFootage path={path} replay={replay} />;
  const beginMs = at === undefined ? undefined : (momentToInstant(at, match.startMs, match.endMs, zone) ?? undefined);

  return (
    <div className="match">
      <div className="match-player">
        <Player
          match={match}
          beginMs={beginMs}
          poster={replay.thumbnailUrl}
          downloadUrl={replay.downloadUrl}
          renew={renew}
        >
          {({ wallMs }) => <MatchActions path={path} replay={replay} wallMs={wallMs} />}
        </Player>
      </div>
      <div className="match-text">
        <Heading
          title={`${from} – ${to}`}
          back={{ href: courtHref(path.club, path.court, path.date), label: `${replay.court.name} · ${day}` }}
        >
          <p className="facts">
            {replay.isLive && <LiveBadge />}
            <span>{replay.club.name}</span>
            <span>{t.match.recorded(percent(replay.coverage, intl))}</span>
          </p>
        </Heading>
        <Missing match={match} coverage={replay.coverage} />
        <NoSound leftOut={replay.audioLeftOut} />
        <Neighbours path={path} start={replay.start} />
        <Shortcuts />
      </div>
    </div>
  );
}

/** Longer than any answer of a server that is well. */
const RENEW_TIMEOUT_MS = 10_000;
