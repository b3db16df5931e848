import { expect, it } from "vitest";

import { en } from "./en";
import { es } from "./es";
import { percent } from "./format";
import { preferredLocale } from "./locale";

it("speaks the first of the reader's languages that it knows, else Spanish", () => {
  expect(preferredLocale(["en-US", "es"])).toBe("en");
  expect(preferredLocale(["de-DE", "es-AR", "en"])).toBe("es");
  expect(preferredLocale(["pt-BR", "en"])).toBe("en");
  expect(preferredLocale(["ja"])).toBe("es");
  expect(preferredLocale([])).toBe("es");
});

it("never calls a match complete that is not", () => {
  expect(percent(1, "en-GB")).toBe("100%");
  expect(percent(0.9999, "en-GB")).toBe("99%");
  expect(percent(0.0001, "en-GB")).toBe("1%");
  expect(percent(0, "en-GB")).toBe("0%");
});

it("has no text left untranslated", () => {
  const same: string[] = [];
  const compare = (a: object, b: object, path: string): void => {
    for (const [key, value] of Object.entries(a)) {
      const other = (b as Record<string, unknown>)[key];
      if (typeof value === "object" && value !== null) compare(value as object, other as object, `${path}${key}.`);
      else if (value === other) same.push(path + key);
    }
  };
  compare(es, en, "");
  // The product's name, and keys that are called the same on every keyboard.
  expect(same.filter((path) => path !== "appName" && !path.startsWith("player.shortcutList"))).toEqual([]);
});
