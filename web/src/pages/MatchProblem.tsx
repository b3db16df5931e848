import { Locked } from "../access/Locked";
import type { MatchPath } from "../api/client";
import type { Problem } from "../api/problem";
import { useI18n } from "../i18n/context";
import { Link } from "../router/Link";
import { matchHref } from "../router/routes";
import { Notice } from "../ui/Notice";
import { useTitle } from "../ui/useTitle";
import { OtherSlots } from "./OtherSlots";
import { ProblemPage } from "./ProblemPage";

interface MatchProblemProps {
  readonly path: MatchPath;
  readonly problem: Problem;
  readonly onRetry: () => void;
}

/** Why there is no such match; for a time that is none or two, the ones that are meant. */
export function MatchProblem({ path, problem, onRetry }: MatchProblemProps) {
  const code = problem.kind === "refused" ? problem.code : null;
  switch (code) {
    case "no_such_slot":
      return <NoSuchSlot path={path} />;
    case "ambiguous_time":
      return <AmbiguousTime path={path} offsets={problem.kind === "refused" ? problem.offsets : []} />;
    case "link_required":
    case "code_required":
    case "access_expired":
    case "access_revoked":
      return <Locked path={path} code={code} onOpened={onRetry} />;
    default:
      return <ProblemPage problem={problem} club={path.club} court={path.court} onRetry={onRetry} />;
  }
}

function NoSuchSlot({ path }: { readonly path: MatchPath }) {
  const { t } = useI18n();
  const title = t.problems.noSuchSlot(path.time);
  useTitle(title);
  return (
    <Notice icon="clock" title={title} help={t.problems.noSuchSlotHelp}>
      <OtherSlots path={path} />
    </Notice>
  );
}

function AmbiguousTime({ path, offsets }: { readonly path: MatchPath; readonly offsets: readonly string[] }) {
  const { t } = useI18n();
  const title = t.problems.ambiguousTime(path.time);
  useTitle(title);
  return (
    <Notice icon="clock" title={title} help={t.problems.ambiguousTimeHelp}>
      {offsets.map((offset, index) => (
        <Link key={offset} className="button button-wide" href={matchHref({ ...path, offset })}>
          <strong>{path.time}</strong>
          <span>
            {index === 0 ? t.problems.firstTime : t.problems.secondTime}
            <small>UTC{offset}</small>
          </span>
        </Link>
      ))}
    </Notice>
  );
}
