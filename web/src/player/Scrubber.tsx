import { useRef, useState, type CSSProperties, type PointerEvent } from "react";

import { useI18n } from "../i18n/context";
import { localTime, localTimeOfDay } from "../time/zone";
import type { Controller } from "./controller";
import { gapAt, gapTimes, stretch, type Stretch } from "./gaps";
import type { Match } from "./match";
import type { Snapshot } from "./snapshot";

interface ScrubberProps {
  readonly match: Match;
  readonly snapshot: Snapshot;
  readonly controller: Controller | null;
}

/** The match from its first to its last instant, in the club's time of day, with what is missing of it. */
export function Scrubber({ match, snapshot, controller }: ScrubberProps) {
  const { t } = useI18n();
  const track = useRef<HTMLDivElement>(null);
  const [pointer, setPointer] = useState<number | null>(null);
  const [isDragging, setIsDragging] = useState(false);

  const { startMs, endMs, zone } = match;
  const length = endMs - startMs;
  const position = share((snapshot.wallMs - startMs) / length);
  const edgeMs = snapshot.edgeMs ?? endMs;

  const shareAt = (event: PointerEvent): number => {
    const box = track.current?.getBoundingClientRect();
    return box === undefined || box.width === 0 ? 0 : share((event.clientX - box.left) / box.width);
  };
  const seekTo = (at: number): void => {
    controller?.seekTo(Math.min(startMs + at * length, edgeMs));
  };

  const onPointerDown = (event: PointerEvent<HTMLDivElement>): void => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    setIsDragging(true);
    setPointer(shareAt(event));
  };
  const onPointerMove = (event: PointerEvent<HTMLDivElement>): void => {
    const at = shareAt(event);
    setPointer(at);
    // Pictures follow the finger as fast as they come, no faster.
    if (isDragging && !snapshot.isWaiting) seekTo(at);
  };
  const onPointerUp = (event: PointerEvent<HTMLDivElement>): void => {
    if (!isDragging) return;
    setIsDragging(false);
    seekTo(shareAt(event));
    if (event.pointerType !== "mouse") setPointer(null);
  };
  const leave = (): void => {
    if (!isDragging) setPointer(null);
  };
  const cancel = (): void => {
    setIsDragging(false);
    setPointer(null);
  };

  const pointedMs = pointer === null ? null : startMs + pointer * length;
  const pointedGap = pointedMs === null ? null : gapAt(match.gaps, pointedMs);
  const shown = isDragging && pointer !== null ? pointer : position;

  return (
    <div className="scrubber">
      <div
        className="scrubber-touch"
        role="slider"
        tabIndex={0}
        aria-label={t.player.position}
        aria-valuemin={0}
        aria-valuemax={length / 1000}
        aria-valuenow={Math.round(snapshot.wallMs - startMs) / 1000}
        aria-valuetext={localTimeOfDay(snapshot.wallMs, zone)}
        data-dragging={isDragging}
        onPointerDown={onPointerDown}
        onPointerMove={onPointerMove}
        onPointerUp={onPointerUp}
        onPointerLeave={leave}
        onPointerCancel={cancel}
      >
        <div className="scrubber-track" ref={track}>
          <div className="scrubber-bar">
            {snapshot.buffered.map(([from, to]) => (
              <Piece key={from} className="scrubber-buffered" at={stretch(from, to, match)} />
            ))}
            <div className="scrubber-played" style={{ width: css(shown) }} />
            {match.gaps.map((gap) => (
              <Piece key={gap.startMs} className="scrubber-gap" at={stretch(gap.startMs, gap.endMs, match)} />
            ))}
            <Piece className="scrubber-future" at={stretch(edgeMs, endMs, match)} hidden={!match.isLive} />
          </div>
          <div className="scrubber-thumb" style={{ left: css(shown) }} />
          {pointedMs !== null && pointer !== null && (
            <output className="scrubber-tip" style={{ left: `clamp(2.5rem, ${css(pointer)}, calc(100% - 2.5rem))` }}>
              {localTimeOfDay(pointedMs, zone)}
              {pointedGap !== null && <small>{t.causes[pointedGap.cause]}</small>}
            </output>
          )}
        </div>
      </div>
      <div className="scrubber-ends" aria-hidden="true">
        <span>{localTime(startMs, zone)}</span>
        <span>{localTime(endMs, zone)}</span>
      </div>
      <ul className="visually-hidden">
        {match.gaps.map((gap) => {
          const { from, to } = gapTimes(gap, zone);
          return <li key={gap.startMs}>{t.player.gap(from, to, t.causes[gap.cause])}</li>;
        })}
      </ul>
    </div>
  );
}

interface PieceProps {
  readonly className: string;
  readonly at: Stretch | null;
  readonly hidden?: boolean;
}

function Piece({ className, at, hidden = false }: PieceProps) {
  if (at === null || hidden) return null;
  const style: CSSProperties = { left: css(at.left), width: css(at.width) };
  return <div className={className} style={style} />;
}

function share(value: number): number {
  return Math.min(1, Math.max(0, value));
}

function css(part: number): string {
  return `${(part * 100).toFixed(4)}%`;
}
