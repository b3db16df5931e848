/**
 * A match of a camera that hardly ever sends an IDR picture. Chromium starts a playlist at nothing else: the player goes on with
 * the match as one file, and the viewer does not notice.
 */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";

import { frameInFile, seekByKey, type Landed } from "./inPage";
import { CLIP_FRAMES, findSubject, type Subject } from "./match";
import { openStage, type Stage } from "./stage";

const FRAME_TOLERANCE = 1;

let subject: Subject;
let stage: Stage;
let page: Page;

beforeAll(async () => {
  subject = await findSubject();
  stage = await openStage();
  ({ page } = stage);
  const { url, club, court, date, time } = subject;
  await page.goto(`${url}/${club}/${court}/${date}/${time}`);
});

afterAll(async () => {
  await stage.browser.close();
  await subject.close();
});

/** The picture that the downloaded match shows so many seconds after its start. */
async function expectFrame(frame: number, saidS: number): Promise<void> {
  const url = subject.replay.downloadUrl ?? "none";
  const expected = await page.evaluate(frameInFile, { url, atS: saidS });
  const off = Math.abs(frame - expected) % CLIP_FRAMES;
  expect(Math.min(off, CLIP_FRAMES - off), `frame ${frame}, expected ${expected}`).toBeLessThanOrEqual(FRAME_TOLERANCE);
}

it("begins at its first picture and plays", async () => {
  await page.locator(".player[data-phase=ready]").waitFor();
  const first = await page.evaluate(() => window.firstShown?.frame ?? -1);
  await expectFrame(first, 0);
  const tap = page.getByRole("button", { name: "Toca para reproducir" });
  if (await tap.isVisible()) await tap.click();
  const mediaTime = (): Promise<number> =>
    page.evaluate(() => document.querySelector<HTMLVideoElement>(".player video")?.currentTime ?? 0);
  const from = await mediaTime();
  await expect.poll(mediaTime, { timeout: 20_000 }).toBeGreaterThan(from + 3);
});

it("shows the right picture wherever one jumps", async () => {
  await page.getByRole("button", { name: "Pausar" }).click();
  for (const key of ["5", "8", "2", "ArrowRight", "ArrowLeft"]) {
    const landed: Landed = await page.evaluate(seekByKey, key);
    await expectFrame(landed.frame, landed.saidS);
  }
});

it("breaks no policy of the page", async () => {
  expect(await page.evaluate(() => window.violations)).toEqual([]);
});
