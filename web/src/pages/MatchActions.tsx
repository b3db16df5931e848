import { useState } from "react";

import type { MatchPath } from "../api/client";
import type { Replay } from "../api/types";
import { useI18n } from "../i18n/context";
import { matchHref } from "../router/routes";
import { localTimeOfDay } from "../time/zone";
import { copyText } from "../ui/copyText";
import { Icon } from "../ui/Icon";

interface MatchActionsProps {
  readonly path: MatchPath;
  readonly replay: Replay;
  /** What the player shows: a shared link begins there. */
  readonly wallMs: number;
}

type Shared = { readonly did: "copy"; readonly at: string } | { readonly did: "fail"; readonly link: string };

export function MatchActions({ path, replay, wallMs }: MatchActionsProps) {
  const { t } = useI18n();
  const [shared, setShared] = useState<Shared | null>(null);

  const share = async (): Promise<void> => {
    const at = localTimeOfDay(wallMs, replay.club.zone);
    const link = window.location.origin + matchHref({ ...path, at });
    setShared((await copyText(link)) ? { did: "copy", at } : { did: "fail", link });
  };

  return (
    <div className="match-actions">
      {replay.downloadUrl !== null && (
        <a className="button button-primary" href={replay.downloadUrl} download>
          <Icon name="download" />
          {replay.isLive ? t.match.downloadLive : t.match.download}
        </a>
      )}
      <button type="button" className="button" onClick={() => void share()} aria-label={t.match.share}>
        <Icon name={shared?.did === "copy" ? "check" : "share"} />
        {t.match.shareShort}
      </button>
      <div className="match-shared" role="status">
        {shared?.did === "copy" && <p>{t.match.copied(shared.at)}</p>}
        {shared?.did === "fail" && (
          <label>
            {t.match.copyFailed}
            <input
              readOnly
              value={shared.link}
              onFocus={(event) => {
                event.currentTarget.select();
              }}
            />
          </label>
        )}
      </div>
    </div>
  );
}
