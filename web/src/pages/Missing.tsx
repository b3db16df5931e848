import { useI18n } from "../i18n/context";
import { gapTimes, MIN_TOLD_GAP_MS } from "../player/gaps";
import type { Match } from "../player/match";

/** What is missing of a match, in words, before anyone wonders. */
export function Missing({ match, coverage }: { readonly match: Match; readonly coverage: number }) {
  const { t } = useI18n();
  const told = match.gaps.filter((gap) => gap.endMs - gap.startMs >= MIN_TOLD_GAP_MS);
  if (told.length === 0) {
    return coverage >= 1 && !match.isLive ? <p className="quiet">{t.match.complete}</p> : null;
  }
  return (
    <section className="missing">
      <h2>{t.match.missing}</h2>
      <ul>
        {told.map((gap) => {
          const { from, to } = gapTimes(gap, match.zone);
          return (
            <li key={gap.startMs}>
              <strong>
                {from} – {to}
              </strong>{" "}
              {t.causes[gap.cause]}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
