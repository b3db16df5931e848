/** Which language to speak. Pure, but for the two functions that remember the choice. */

export type Locale = "es" | "en";

const REMEMBERED = "turepe.locale";

/** `Intl` locales: British English, because start times are told by the 24-hour clock. */
export const INTL_LOCALE: Readonly<Record<Locale, string>> = { es: "es", en: "en-GB" };

/** The first of the reader's languages that we speak; Spanish if we speak none. */
export function preferredLocale(languages: readonly string[]): Locale {
  for (const language of languages) {
    const base = language.toLowerCase().split("-")[0];
    if (base === "es" || base === "en") return base;
  }
  return "es";
}

export function rememberedLocale(): Locale | null {
  try {
    const value = window.localStorage.getItem(REMEMBERED);
    return value === "es" || value === "en" ? value : null;
  } catch {
    // Storage is forbidden in some private windows: the language of the browser it is.
    return null;
  }
}

export function rememberLocale(locale: Locale): void {
  try {
    window.localStorage.setItem(REMEMBERED, locale);
  } catch {
    // See above: the choice then holds for this visit.
  }
}
