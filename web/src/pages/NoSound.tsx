import type { AudioLeftOut } from "../api/types";
import { useI18n } from "../i18n/context";

/** Why a picture has no sound, where the camera's was left out. */
export function NoSound({ leftOut }: { readonly leftOut: AudioLeftOut | null | undefined }) {
  const { t } = useI18n();
  if (leftOut === null || leftOut === undefined) return null;
  return <p className="quiet">{t.match.noSound(leftOut.codec ?? null)}</p>;
}
