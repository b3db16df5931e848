/** The same pages on the narrowest phone and with large text: nothing is wider than the screen, and axe finds nothing. */
import { createRequire } from "node:module";

import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { findSubject, type Subject } from "./match";
import { openStage, type Stage } from "./stage";

const AXE = createRequire(import.meta.url).resolve("axe-core");

/** What axe gives, as far as it is read here. */
interface Finding {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}
declare global {
  interface Window {
    axe: { run(): Promise<{ violations: Finding[] }> };
  }
}

let subject: Subject;
let stage: Stage;
let page: Page;

beforeAll(async () => {
  subject = await findSubject();
  stage = await openStage();
  ({ page } = stage);
  await stage.page.context().addInitScript({ path: AXE });
});

afterAll(async () => {
  await stage.browser.close();
  await subject.close();
});

describe.each([
  { width: 320, text: 100 },
  { width: 320, text: 150 },
  { width: 390, text: 150 },
])("at $width px with text at $text %", ({ width, text }) => {
  const pages: readonly (readonly [string, () => string, string])[] = [
    ["club", () => `/${subject.club}`, ".court-card"],
    ["day", () => `/${subject.club}/${subject.court}/${subject.date}`, ".slot"],
    ["match", () => `/${subject.club}/${subject.court}/${subject.date}/${subject.time}`, ".player[data-phase=ready]"],
    ["lost page", () => "/no-such-club", ".notice"],
  ];
  it.each(pages)("the %s fits, and has no finding", async (name, path, ready) => {
    await page.setViewportSize({ width, height: 700 });
    await page.goto(subject.url + path());
    await page.locator(ready).first().waitFor();
    await page.evaluate((percent) => {
      document.documentElement.style.fontSize = `${String(percent)}%`;
    }, text);
    const { tooWide, findings } = await page.evaluate(async () => {
      const limit = document.documentElement.clientWidth;
      const isWide = document.documentElement.scrollWidth > limit;
      const wide = [...document.querySelectorAll("main *")].filter((element) => element.getBoundingClientRect().right > limit + 0.5);
      const { violations } = await window.axe.run();
      return {
        tooWide: isWide ? wide.map((element) => element.outerHTML.slice(0, 120)) : [],
        findings: violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary ?? ""}`).join(" | ")}`),
      };
    });
    const shots = process.env["TUREPE_SHOTS"];
    if (shots !== undefined) await page.screenshot({ path: `${shots}/${name.replace(" ", "-")}-${String(width)}-${String(text)}.png` });
    expect(tooWide).toEqual([]);
    expect(findings).toEqual([]);
  });
});
