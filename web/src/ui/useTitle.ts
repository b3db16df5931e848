import { useEffect } from "react";

import { useI18n } from "../i18n/context";

/** What the tab and the history say, from the particular to the general. */
export function useTitle(...parts: readonly (string | null | undefined)[]): void {
  const { t } = useI18n();
  const title = [...parts.filter((part) => part !== null && part !== undefined && part !== ""), t.appName].join(" · ");
  useEffect(() => {
    document.title = title;
  }, [title]);
}
