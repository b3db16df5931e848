import type { CourtPath } from "../api/client";
import type { Slot } from "../api/types";
import { useI18n } from "../i18n/context";
import { percent } from "../i18n/format";
import { Link } from "../router/Link";
import { matchHref } from "../router/routes";
import { localTime } from "../time/zone";
import { Icon } from "../ui/Icon";
import { LiveBadge } from "../ui/LiveBadge";
import { Picture } from "../ui/Picture";

interface SlotCardProps {
  readonly path: CourtPath;
  readonly date: string;
  readonly slot: Slot;
  /** The club's. */
  readonly zone: string;
  /** Where there is none, nothing failed to record. */
  readonly hasCamera?: boolean;
}

/** A start time: its picture, its share recorded, its state in time. Without footage it says why one cannot watch it. */
export function SlotCard({ path, date, slot, zone, hasCamera = true }: SlotCardProps) {
  const { t } = useI18n();
  const offset = slot.isAmbiguous ? slot.offset : undefined;
  const look = slot.state === "future" ? "future" : slot.coverage > 0 ? "recorded" : "missing";
  return (
    <Link
      className="slot"
      href={matchHref({ ...path, date, time: slot.time, offset })}
      data-look={look}
      data-state={slot.state}
    >
      {look === "recorded" && (
        <span className="slot-picture">
          <Picture src={slot.thumbnailUrl} />
          {slot.state === "live" && <LiveBadge />}
        </span>
      )}
      {look === "missing" && (
        <span className="slot-picture slot-none">
          <Icon name="noVideo" />
        </span>
      )}
      <span className="slot-text">
        <span className="slot-time">
          {slot.time}
          {look !== "future" && <small>– {localTime(Date.parse(slot.end), zone)}</small>}
          {slot.isAmbiguous && <small>{t.slot.secondTime(slot.offset)}</small>}
        </span>
        <SlotState slot={slot} look={look} hasCamera={hasCamera} />
      </span>
    </Link>
  );
}

interface SlotStateProps {
  readonly slot: Slot;
  readonly look: "future" | "recorded" | "missing";
  readonly hasCamera: boolean;
}

function SlotState({ slot, look, hasCamera }: SlotStateProps) {
  const { t, intl } = useI18n();
  switch (look) {
    case "future":
      return <span className="slot-state">{t.slot.future}</span>;
    case "missing":
      return (
        <span className="slot-state">
          {!hasCamera ? t.club.noCamera : slot.state === "live" ? t.notLive : t.slot.none}
          {hasCamera && <small>{t.slot.noneHelp}</small>}
        </span>
      );
    case "recorded":
      return (
        <span className="slot-state" data-whole={slot.coverage >= 1}>
          {slot.state === "live" ? t.slot.watchLive : t.slot.recorded(percent(slot.coverage, intl))}
          <meter className="slot-meter" min={0} max={1} value={slot.coverage} aria-hidden="true" />
        </span>
      );
  }
}
