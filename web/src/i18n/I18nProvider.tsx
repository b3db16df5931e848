import { useEffect, useMemo, useState, type ReactNode } from "react";

import { i18nFor, I18nContext } from "./context";
import { preferredLocale, rememberedLocale, rememberLocale, type Locale } from "./locale";

/** Speaks the remembered language, else the browser's, else Spanish; `<html lang>` follows. */
export function I18nProvider({ children }: { readonly children: ReactNode }) {
  const [locale, setLocale] = useState<Locale>(() => rememberedLocale() ?? preferredLocale(navigator.languages));

  useEffect(() => {
    document.documentElement.lang = locale;
  }, [locale]);

  const value = useMemo(
    () =>
      i18nFor(locale, (chosen) => {
        rememberLocale(chosen);
        setLocale(chosen);
      }),
    [locale],
  );
  return <I18nContext value={value}>{children}</I18nContext>;
}
