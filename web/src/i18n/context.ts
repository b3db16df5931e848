import { createContext, useContext } from "react";

import { en } from "./en";
import { es, type Messages } from "./es";
import { INTL_LOCALE, type Locale } from "./locale";

const MESSAGES: Readonly<Record<Locale, Messages>> = { es, en };

export interface I18n {
  readonly locale: Locale;
  /** For `Intl`. */
  readonly intl: string;
  readonly t: Messages;
  readonly setLocale: (locale: Locale) => void;
}

export function i18nFor(locale: Locale, setLocale: (locale: Locale) => void): I18n {
  return { locale, intl: INTL_LOCALE[locale], t: MESSAGES[locale], setLocale };
}

export const I18nContext = createContext<I18n>(i18nFor("es", () => undefined));

export function useI18n(): I18n {
  return useContext(I18nContext);
}
