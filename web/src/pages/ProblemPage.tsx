import type { Problem } from "../api/problem";
import { useI18n } from "../i18n/context";
import { Link } from "../router/Link";
import { clubHref, courtHref } from "../router/routes";
import { Notice } from "../ui/Notice";
import { useTitle } from "../ui/useTitle";

interface ProblemPageProps {
  readonly problem: Problem;
  readonly club?: string;
  readonly court?: string;
  readonly onRetry: () => void;
}

/** What is said when an answer did not come, wherever it happens. */
export function ProblemPage({ problem, club, court, onRetry }: ProblemPageProps) {
  const { t } = useI18n();
  const p = t.problems;
  const code = problem.kind === "refused" ? problem.code : problem.kind;
  const retry = (
    <button type="button" className="button button-primary" onClick={onRetry}>
      {t.retry}
    </button>
  );
  switch (code) {
    case "offline":
      return (
        <Titled title={p.offline}>
          <Notice icon="offline" title={p.offline} help={p.offlineHelp}>
            {retry}
          </Notice>
        </Titled>
      );
    case "club_not_found":
      return <ClubNotFound />;
    case "court_not_found":
      return <CourtNotFound club={club ?? ""} />;
    case "invalid_date":
    case "invalid_time":
    case "invalid_range": {
      const title = code === "invalid_date" ? p.invalidDate : p.invalidTime;
      return (
        <Titled title={title}>
          <Notice icon="calendar" title={title} help={p.invalidDateHelp}>
            {club !== undefined && court !== undefined && (
              <Link className="button button-primary" href={courtHref(club, court)}>
                {p.chooseTime}
              </Link>
            )}
          </Notice>
        </Titled>
      );
    }
    case "busy":
    case "timeout":
      return (
        <Titled title={p.busy}>
          <Notice icon="clock" title={p.busy} help={p.busyHelp}>
            {retry}
          </Notice>
        </Titled>
      );
    case "not_found":
      return <NotFoundPage />;
    default:
      return (
        <Titled title={p.server}>
          <Notice icon="question" title={p.server} help={p.serverHelp}>
            {retry}
          </Notice>
        </Titled>
      );
  }
}

export function ClubNotFound() {
  const { t } = useI18n();
  return (
    <Titled title={t.problems.clubNotFound}>
      <Notice icon="question" title={t.problems.clubNotFound} help={t.problems.clubNotFoundHelp}>
        <Link className="button button-primary" href="/">
          {t.problems.allClubs}
        </Link>
      </Notice>
    </Titled>
  );
}

export function CourtNotFound({ club }: { readonly club: string }) {
  const { t } = useI18n();
  return (
    <Titled title={t.problems.courtNotFound}>
      <Notice icon="question" title={t.problems.courtNotFound} help={t.problems.courtNotFoundHelp}>
        <Link className="button button-primary" href={clubHref(club)}>
          {t.problems.allCourts}
        </Link>
      </Notice>
    </Titled>
  );
}

export function NotFoundPage() {
  const { t } = useI18n();
  return (
    <Titled title={t.problems.notFound}>
      <Notice icon="question" title={t.problems.notFound} help={t.problems.notFoundHelp}>
        <Link className="button button-primary" href="/">
          {t.home}
        </Link>
      </Notice>
    </Titled>
  );
}

function Titled({ title, children }: { readonly title: string; readonly children: React.ReactNode }) {
  useTitle(title);
  return children;
}
