import type { MatchPath } from "../api/client";
import type { Replay } from "../api/types";
import { useI18n } from "../i18n/context";
import { capitalise, longDate } from "../i18n/format";
import { courtHref } from "../router/routes";
import { localTime } from "../time/zone";
import { useNow } from "../time/useNow";
import { Heading } from "../ui/Layout";
import { Notice } from "../ui/Notice";
import { OtherSlots } from "./OtherSlots";

/** A slot with nothing to watch: not yet, not now, or not ever. */
export function NoFootage({ path, replay }: { readonly path: MatchPath; readonly replay: Replay }) {
  const { t, intl } = useI18n();
  const { zone } = replay.club;
  const from = localTime(Date.parse(replay.start), zone);
  const to = localTime(Date.parse(replay.end), zone);
  const isFuture = Date.parse(replay.start) > useNow();
  const p = t.problems;
  return (
    <>
      <Heading
        title={`${from} – ${to}`}
        back={{
          href: courtHref(path.club, path.court, path.date),
          label: `${replay.court.name} · ${capitalise(longDate(path.date, intl))}`,
        }}
      />
      {isFuture ? (
        <Notice icon="clock" title={p.future} help={p.futureHelp(from)} isPage={false}>
          <OtherSlots path={path} />
        </Notice>
      ) : replay.channelId === null ? (
        <Notice icon="noVideo" title={p.noCamera} help={p.noCameraHelp} isPage={false}>
          <OtherSlots path={path} />
        </Notice>
      ) : replay.isLive ? (
        <Notice icon="noVideo" title={p.waiting} help={p.waitingHelp} isPage={false}>
          <OtherSlots path={path} />
        </Notice>
      ) : (
        <Notice icon="noVideo" title={p.noFootage} help={p.noFootageHelp} isPage={false}>
          <OtherSlots path={path} />
        </Notice>
      )}
    </>
  );
}
