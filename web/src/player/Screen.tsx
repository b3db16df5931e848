import { useEffect, useState } from "react";

import { useI18n } from "../i18n/context";
import { Icon } from "../ui/Icon";
import type { Controller } from "./controller";
import { gapTimes } from "./gaps";
import type { Match } from "./match";
import type { Snapshot } from "./snapshot";

interface ScreenProps {
  readonly match: Match;
  readonly snapshot: Snapshot;
  readonly controller: Controller | null;
  readonly poster: string | null;
  readonly downloadUrl: string | null;
  readonly attach: (video: HTMLVideoElement) => () => void;
}

/** Waiting for longer than this is the line's doing: between waits that seeks cause, and patience. */
const SLOW_AFTER_MS = 3_000;

/** Whether something has been so for a while without a break. */
function useLasting(is: boolean, forMs: number): boolean {
  const [lasts, setLasts] = useState(false);
  useEffect(() => {
    if (!is) return undefined;
    const timer = window.setTimeout(() => {
      setLasts(true);
    }, forMs);
    return () => {
      window.clearTimeout(timer);
      setLasts(false);
    };
  }, [is, forMs]);
  return is && lasts;
}

/** The picture and what is said on top of it. */
export function Screen({ match, snapshot, controller, poster, downloadUrl, attach }: ScreenProps) {
  const { t } = useI18n();
  const isSlow = useLasting(snapshot.isWaiting && !snapshot.isReconnecting && !snapshot.needsTap, SLOW_AFTER_MS);
  const isCovered = snapshot.phase === "failed" || snapshot.phase === "ended";
  return (
    <div className="screen">
      <video
        ref={attach}
        className="screen-video"
        playsInline
        preload="auto"
        tabIndex={-1}
        onClick={() => controller?.togglePlay()}
      />
      {snapshot.phase === "preparing" && poster !== null && <img className="screen-poster" src={poster} alt="" />}
      {snapshot.needsTap && !isCovered && (
        <button type="button" className="screen-tap" onClick={() => controller?.play()} aria-label={t.player.tapToPlay}>
          <Icon name="play" />
        </button>
      )}
      {snapshot.isWaiting && !snapshot.needsTap && !isCovered && (
        <div className="screen-waiting" role="progressbar" aria-label={t.player.buffering} />
      )}
      {snapshot.phase === "ended" && (
        <div className="screen-cover">
          <p>{t.player.ended}</p>
          <button type="button" className="button button-primary" onClick={() => controller?.play()}>
            <Icon name="replay" />
            {t.player.replay}
          </button>
        </div>
      )}
      {snapshot.failure !== null && (
        <Failure failure={snapshot.failure} controller={controller} downloadUrl={downloadUrl} />
      )}
      <div className="screen-told" role="status">
        {snapshot.toldGap !== null && <p>{gapText(snapshot, match, t)}</p>}
        {isSlow && !isCovered && <p>{t.player.slow}</p>}
        {snapshot.isReconnecting && !isCovered && <p>{t.player.reconnecting}</p>}
      </div>
    </div>
  );
}

function gapText(snapshot: Snapshot, match: Match, t: ReturnType<typeof useI18n>["t"]): string {
  if (snapshot.toldGap === null) return "";
  const { from, to } = gapTimes(snapshot.toldGap, match.zone);
  return t.player.gap(from, to, t.causes[snapshot.toldGap.cause]);
}

interface FailureProps {
  readonly failure: NonNullable<Snapshot["failure"]>;
  readonly controller: Controller | null;
  readonly downloadUrl: string | null;
}

function Failure({ failure, controller, downloadUrl }: FailureProps) {
  const { t } = useI18n();
  const said = {
    network: [t.problems.playbackNetwork, t.problems.playbackNetworkHelp],
    gone: [t.problems.playbackGone, t.problems.playbackGoneHelp],
    playback: [t.problems.playback, t.problems.playbackHelp],
    unsupported: [t.problems.unsupported, t.problems.unsupportedHelp],
  } as const;
  const [title, help] = said[failure];
  return (
    <div className="screen-cover" role="alert">
      <p>{title}</p>
      <p className="screen-help">{help}</p>
      <div className="screen-actions">
        {failure !== "unsupported" && (
          <button type="button" className="button button-primary" onClick={() => controller?.startOver()}>
            {t.retry}
          </button>
        )}
        {downloadUrl !== null && failure !== "network" && failure !== "gone" && (
          <a className="button button-ghost" href={downloadUrl} download>
            {t.match.download}
          </a>
        )}
      </div>
    </div>
  );
}
