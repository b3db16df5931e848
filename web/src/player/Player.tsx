import { useRef, type ReactNode } from "react";

import { useI18n } from "../i18n/context";
import { localTimeOfDay } from "../time/zone";
import type { Controller } from "./controller";
import { Controls } from "./Controls";
import type { Match } from "./match";
import { Screen } from "./Screen";
import { Scrubber } from "./Scrubber";
import { useController } from "./useController";
import { useFullscreen } from "./useFullscreen";
import { useIdle } from "./useIdle";
import { useKeyboard } from "./useKeyboard";
import "./player.css";

const HIDE_CONTROLS_AFTER_MS = 3_000;

interface PlayerProps {
  readonly match: Match;
  readonly beginMs?: number | undefined;
  readonly poster: string | null;
  readonly downloadUrl: string | null;
  readonly renew: () => Promise<Match | "gone" | null>;
  /** What stands below the controls and needs to know where the player is. */
  readonly children?: (at: { readonly wallMs: number; readonly controller: Controller | null }) => ReactNode;
}

/** Give it a `key` that names the match: another match is another player. */
export function Player({ match, beginMs, poster, downloadUrl, renew, children }: PlayerProps) {
  const { t } = useI18n();
  const container = useRef<HTMLElement>(null);
  const { controller, snapshot, attach } = useController({ match, beginMs, renew });
  const { isFullscreen, toggle } = useFullscreen(container);
  const isIdle = useIdle(container, isFullscreen && snapshot.isPlaying, HIDE_CONTROLS_AFTER_MS);
  useKeyboard(controller, toggle);

  return (
    <>
      <section
        ref={container}
        className="player"
        aria-label={t.player.region}
        data-phase={snapshot.phase}
        data-fullscreen={isFullscreen}
        data-idle={isIdle}
      >
        <Screen
          match={match}
          snapshot={snapshot}
          controller={controller}
          poster={poster}
          downloadUrl={downloadUrl}
          attach={attach}
        />
        <div className="panel">
          <div className="panel-clock">
            <time className="clock" dateTime={new Date(snapshot.wallMs).toISOString()}>
              {localTimeOfDay(snapshot.wallMs, match.zone)}
            </time>
            {match.isLive && (
              <button
                type="button"
                className="golive"
                data-live={snapshot.isAtLiveEdge}
                onClick={() => controller?.goLive()}
              >
                <span className="dot" aria-hidden="true" />
                {snapshot.isAtLiveEdge ? t.player.atLive : t.player.goLive}
              </button>
            )}
          </div>
          <Scrubber match={match} snapshot={snapshot} controller={controller} />
          <Controls snapshot={snapshot} controller={controller} isFullscreen={isFullscreen} onFullscreen={toggle} />
        </div>
      </section>
      {children?.({ wallMs: snapshot.wallMs, controller })}
    </>
  );
}
