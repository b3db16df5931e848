import { useEffect, useState, type ReactNode } from "react";

import { openAccess } from "../api/client";
import type { Problem } from "../api/problem";
import { forgetAnswers } from "../api/useResource";
import { useI18n } from "../i18n/context";
import { Notice } from "../ui/Notice";
import { Skeleton } from "../ui/Skeleton";
import { clearLinkInAddress, linkInAddress } from "./linkInAddress";

/** A link that is being shown, and what became of it. */
type Entry = { readonly link: string; readonly problem: Problem | null } | null;

/**
 * Shows the server the link that the page was opened with, before anything else is asked for. It is remembered by the browser from then
 * on, where no script reads it.
 */
export function LinkEntry({ club, children }: { readonly club: string | null; readonly children: ReactNode }) {
  const [entry, setEntry] = useState<Entry>(newEntry);
  const link = entry?.link ?? null;

  useEffect(() => {
    // Another link into the same tab: only what is behind the # changes.
    const again = (): void => {
      const next = newEntry();
      if (next !== null) setEntry(next);
    };
    window.addEventListener("hashchange", again);
    return () => {
      window.removeEventListener("hashchange", again);
    };
  }, []);

  useEffect(() => {
    if (link === null || club === null) return undefined;
    let isGone = false;
    void openAccess(club, { link }).then((outcome) => {
      if (isGone) return;
      // Not before the server has had it: on a bad line it would be lost with the page.
      if (outcome.ok || outcome.problem.kind === "refused") clearLinkInAddress();
      forgetAnswers();
      setEntry(outcome.ok ? null : { link, problem: outcome.problem });
    });
    return () => {
      isGone = true;
    };
  }, [club, link]);

  if (entry === null || club === null) return children;
  if (entry.problem === null) return <Skeleton rows={1} kind="player" />;
  const retry = (): void => {
    setEntry(null);
    // A state of its own in between, so that the same link is shown again.
    window.setTimeout(() => {
      setEntry({ link: entry.link, problem: null });
    });
  };
  return (
    <LinkRefused
      problem={entry.problem}
      onRetry={retry}
      onLeave={() => {
        setEntry(null);
      }}
    />
  );
}

function newEntry(): Entry {
  const link = linkInAddress();
  return link === null ? null : { link, problem: null };
}

interface LinkRefusedProps {
  readonly problem: Problem;
  readonly onRetry: () => void;
  readonly onLeave: () => void;
}

function LinkRefused({ problem, onRetry, onLeave }: LinkRefusedProps) {
  const { t } = useI18n();
  const a = t.access;
  const code = problem.kind === "refused" ? problem.code : problem.kind;
  const leave = (
    <button type="button" className="button" onClick={onLeave}>
      {a.goOn}
    </button>
  );
  switch (code) {
    case "access_expired":
      return <Notice icon="clock" title={a.expired} help={a.expiredHelp}>{leave}</Notice>;
    case "access_revoked":
      return <Notice icon="lock" title={a.revoked} help={a.revokedHelp}>{leave}</Notice>;
    case "link_invalid":
      return <Notice icon="lock" title={a.invalid} help={a.invalidHelp}>{leave}</Notice>;
    default:
      return (
        <Notice
          icon={code === "offline" ? "offline" : "question"}
          title={code === "offline" ? t.problems.offline : t.problems.server}
          help={code === "offline" ? t.problems.offlineHelp : t.problems.serverHelp}
        >
          <button type="button" className="button button-primary" onClick={onRetry}>
            {t.retry}
          </button>
          {leave}
        </Notice>
      );
  }
}
