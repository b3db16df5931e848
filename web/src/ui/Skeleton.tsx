import { useI18n } from "../i18n/context";

/** Grey shapes of what is on its way. */
export function Skeleton({ rows, kind }: { readonly rows: number; readonly kind: "card" | "row" | "player" }) {
  const { t } = useI18n();
  return (
    <div className="skeleton" data-kind={kind} role="status" aria-label={t.loading}>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className="skeleton-shape" />
      ))}
    </div>
  );
}
