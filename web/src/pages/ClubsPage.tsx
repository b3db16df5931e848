import { useEffect } from "react";

import { listClubs } from "../api/client";
import { useResource } from "../api/useResource";
import { useI18n } from "../i18n/context";
import { Link } from "../router/Link";
import { navigate } from "../router/navigation";
import { clubHref } from "../router/routes";
import { Icon } from "../ui/Icon";
import { Heading } from "../ui/Layout";
import { Notice } from "../ui/Notice";
import { Skeleton } from "../ui/Skeleton";
import { useTitle } from "../ui/useTitle";
import { ProblemPage } from "./ProblemPage";

/** The clubs of this server; with only one there is nothing to choose. */
export function ClubsPage() {
  const { t } = useI18n();
  const clubs = useResource("clubs", listClubs);
  const only = clubs.status === "ready" && clubs.value.length === 1 ? clubs.value[0] : undefined;
  useTitle(t.clubs.title);

  useEffect(() => {
    if (only !== undefined) navigate(clubHref(only.slug), "replace");
  }, [only]);

  if (clubs.status === "failed") return <ProblemPage problem={clubs.problem} onRetry={clubs.reload} />;
  if (clubs.status === "loading" || only !== undefined) return <Skeleton rows={3} kind="row" />;
  if (clubs.value.length === 0) return <Notice icon="question" title={t.clubs.empty} help={t.clubs.emptyHelp} />;
  return (
    <>
      <Heading title={t.tagline}>
        <p className="lead">{t.clubs.lead}</p>
      </Heading>
      <ul className="list">
        {clubs.value.map((club) => (
          <li key={club.slug}>
            <Link className="row" href={clubHref(club.slug)}>
              <span className="row-title">{club.name}</span>
              <Icon name="chevronRight" />
            </Link>
          </li>
        ))}
      </ul>
    </>
  );
}
