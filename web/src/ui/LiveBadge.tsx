import { useI18n } from "../i18n/context";

export function LiveBadge() {
  const { t } = useI18n();
  return (
    <span className="badge badge-live">
      <span className="dot" aria-hidden="true" />
      {t.live}
    </span>
  );
}
