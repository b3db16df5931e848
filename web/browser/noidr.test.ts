/**
 * Matches of cameras that hardly ever send an IDR picture, at which alone Chromium starts a playlist. Those that refresh their
 * picture gradually are played as a file, and the viewer does not notice. Those with open groups of pictures its decoder refuses
 * anywhere but at their first picture of all: the page says so, and offers the download.
 */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";

import { frameInFile, seekByKey, type Landed } from "./inPage";
import { CLIP_FRAMES, findSubject, type Subject } from "./match";
import { openStage, type Stage } from "./stage";

const FRAME_TOLERANCE = 1;
const FRAMES_PER_SECOND = 25;

let subject: Subject;
let stage: Stage;
let page: Page;
/** The match's first picture, as its download shows it. */
let firstFrame: number;

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

/** The clip counts its pictures, over and over: which one comes so many seconds after the first. */
function expectFrame(frame: number, saidS: number): void {
  const expected = (firstFrame + Math.round(saidS * FRAMES_PER_SECOND)) % CLIP_FRAMES;
  const off = Math.abs(frame - expected) % CLIP_FRAMES;
  expect(Math.min(off, CLIP_FRAMES - off), `frame ${String(frame)}, expected ${String(expected)}`).toBeLessThanOrEqual(FRAME_TOLERANCE);
}

it("begins at its first picture and plays", async () => {
  await page.locator(".player[data-phase=ready]").waitFor();
  const first = await page.evaluate(() => window.firstShown?.frame ?? -1);
  firstFrame = await page.evaluate(frameInFile, { url: subject.replay.downloadUrl ?? "none", atS: 0 });
  expectFrame(first, 0);
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
    expectFrame(landed.frame, landed.saidS);
  }
});

it("ends at its last picture, and plays again from its first", async () => {
  await page.evaluate(seekByKey, "9");
  await page.getByRole("button", { name: "Reproducir", exact: true }).click();
  await page.getByText("Fin del partido").waitFor();
  await page.locator(".screen-cover").getByRole("button", { name: "Ver otra vez" }).click();
  await page.locator(".player[data-phase=ready]").waitFor();
  const saidS = (): Promise<number> =>
    page.evaluate(() => Number(document.querySelector(".player [role=slider]")?.getAttribute("aria-valuenow")));
  await expect.poll(saidS).toBeLessThan(20);
});

it("breaks no policy of the page", async () => {
  expect(await page.evaluate(() => window.violations)).toEqual([]);
});

it("says that this browser cannot play open groups of pictures, and offers the file", async () => {
  const { url, club, date, time } = subject;
  const court = process.env["TUREPE_OPEN_COURT"] ?? "none";
  await page.goto(`${url}/${club}/${court}/${date}/${time}`);
  await page.getByRole("alert").getByText("Este navegador no puede reproducir el vídeo").waitFor();
  const href = await page.getByRole("alert").getByRole("link", { name: "Descargar MP4" }).getAttribute("href");
  const file = await fetch(new URL(href ?? "none", url));
  expect(file.status).toBe(200);
  expect((await file.arrayBuffer()).byteLength).toBeGreaterThan(500_000);
});
