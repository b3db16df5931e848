import { getClub, type MatchPath } from "../api/client";
import type { ProblemCode } from "../api/types";
import { useResource } from "../api/useResource";
import { useI18n } from "../i18n/context";
import { capitalise, longDate } from "../i18n/format";
import { Link } from "../router/Link";
import { courtHref } from "../router/routes";
import { Heading } from "../ui/Layout";
import { Notice } from "../ui/Notice";
import { useTitle } from "../ui/useTitle";
import { CodeForm } from "./CodeForm";

interface LockedProps {
  readonly path: MatchPath;
  readonly code: ProblemCode;
  readonly onOpened: () => void;
}

/** A match that is not open to the one who looks: what opens it, and where to get that. */
export function Locked({ path, code, onOpened }: LockedProps) {
  const { t, intl } = useI18n();
  const a = t.access;
  // Which of the two the club asks for is its page's to say: of something that has expired, the refusal does not.
  const club = useResource(`club/${path.club}`, (signal) => getClub(path.club, signal));
  const policy = club.status === "ready" ? club.value.access : null;
  const court = club.status === "ready" ? club.value.courts.find((one) => one.slug === path.court)?.name : undefined;
  const asksForCode = code === "code_required" || policy === "code";
  const { title, help } = told(code, asksForCode);
  useTitle(title);
  return (
    <>
      <Heading
        title={`${capitalise(longDate(path.date, intl))}, ${path.time}`}
        back={{ href: courtHref(path.club, path.court, path.date), label: court ?? t.back }}
      />
      <Notice icon="lock" title={title} help={help} isPage={false}>
        {asksForCode && <CodeForm path={path} onOpened={onOpened} />}
        <Link className="button" href={courtHref(path.club, path.court, path.date)}>
          {t.problems.chooseTime}
        </Link>
      </Notice>
    </>
  );

  function told(why: ProblemCode, isCode: boolean): { readonly title: string; readonly help: string } {
    switch (why) {
      case "access_expired":
        return { title: a.expired, help: isCode ? a.codeNeededHelp : a.expiredHelp };
      case "access_revoked":
        return { title: a.revoked, help: isCode ? a.codeNeededHelp : a.revokedHelp };
      default:
        return isCode
          ? { title: a.codeNeeded, help: a.codeNeededHelp }
          : { title: a.linkNeeded, help: a.linkNeededHelp };
    }
  }
}
