/** A player finds the match on a phone and watches it to its end. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { localTimeOfDay } from "../src/time/zone";
import { frameInFile, seekByKey } from "./inPage";
import { CLIP_FRAMES, findSubject, type Subject } from "./match";
import { openStage, type Stage } from "./stage";

/** A seek must show its picture within this. */
const SEEK_LIMIT_MS = 1_000;
/** Where the player and the file may round the same instant to neighbouring frames. */
const FRAME_TOLERANCE = 1;

let subject: Subject;
let stage: Stage;
let page: Page;

beforeAll(async () => {
  subject = await findSubject();
  stage = await openStage();
  ({ page } = stage);
});

afterAll(async () => {
  await stage.browser.close();
  await subject.close();
});

const startMs = (): number => Date.parse(subject.replay.start);
const endMs = (): number => Date.parse(subject.replay.end);

function matchPath(at?: number): string {
  const { club, court, date, time, replay } = subject;
  const moment = at === undefined ? "" : `?t=${localTimeOfDay(at, replay.club.zone)}`;
  return `/${club}/${court}/${date}/${time}${moment}`;
}

/**
 * The frame number that belongs to an instant: out of the segment's file, played as the plain MP4 that it is. That is
 * another way through the program than the playlist that the player uses.
 */
async function truth(wallMs: number): Promise<number> {
  if (subject.knownFrame !== null) return subject.knownFrame(wallMs);
  const segment = subject.replay.fragments.find(({ start, end }) => Date.parse(start) <= wallMs && wallMs < Date.parse(end));
  if (segment === undefined) throw new Error(`nothing was recorded at ${new Date(wallMs).toISOString()}`);
  const atS = (wallMs - Date.parse(segment.start)) / 1000;
  return page.evaluate(frameInFile, { url: segment.url, atS });
}

function expectFrame(frame: number, expected: number): void {
  const off = Math.abs(frame - expected) % CLIP_FRAMES;
  expect(Math.min(off, CLIP_FRAMES - off), `frame ${frame}, expected ${expected}`).toBeLessThanOrEqual(FRAME_TOLERANCE);
}

async function position(): Promise<number> {
  const said = await page.getByRole("slider", { name: "Hora del partido" }).getAttribute("aria-valuenow");
  return startMs() + Number(said) * 1000;
}

/** Opens the match at a moment, as a shared link does, and sets it going. */
async function playFrom(wallMs: number): Promise<void> {
  await page.goto(subject.url + matchPath(wallMs));
  await page.locator(".player[data-phase=ready]").waitFor();
  // Without a gesture on the page the browser may hold the sound back: then there is a button to tap.
  const tap = page.getByRole("button", { name: "Toca para reproducir" });
  await expect.poll(async () => (await tap.isVisible()) || (await isPlaying()), { timeout: 10_000 }).toBe(true);
  if (await tap.isVisible()) await tap.click();
}

const isPlaying = (): Promise<boolean> => page.evaluate(() => document.querySelector<HTMLVideoElement>(".player video")?.paused === false);

/** Plays until the position has passed an instant, and gives the longest time it stood still. */
async function playPast(wallMs: number, withinMs: number): Promise<number> {
  const deadline = Date.now() + withinMs;
  let [last, movedAt, longestMs] = [await position(), Date.now(), 0];
  while (last < wallMs) {
    if (Date.now() > deadline) throw new Error(`stuck at ${new Date(last).toISOString()}, going for ${new Date(wallMs).toISOString()}`);
    await page.waitForTimeout(50);
    const now = await position();
    if (now > last) movedAt = Date.now();
    longestMs = Math.max(longestMs, Date.now() - movedAt);
    last = now;
  }
  return longestMs;
}

describe("a player with a phone", () => {
  it("finds the match from the club's page, and it starts at its first frame", async () => {
    const { url, club, court, date } = subject;
    await page.goto(`${url}/${club}`);
    await page.locator(`a[href="/${club}/${court}"]`).click();
    await page.locator("[aria-current=date]").waitFor();
    const day = page.locator(`.day-strip a[href="/${club}/${court}/${date}"]`);
    if ((await day.count()) > 0) await day.click();
    await page.locator(`a.slot[href^="${matchPath()}"]`).click();
    await page.locator(".player[data-phase=ready]").waitFor();
    const first = await page.waitForFunction(() => window.firstShown);
    await page.getByRole("button", { name: "Pausar" }).click();
    expectFrame((await first.jsonValue())?.frame ?? -1, await truth(startMs()));
    expect((await position()) - startMs()).toBeLessThan(5_000);
    expect(await page.locator(".clock").textContent()).toBe(localTimeOfDay(await position(), subject.replay.club.zone));
  });

  it.each(["5", "1", "8", "l", "ArrowRight", "j", "ArrowLeft", "0"])("seeks with “%s” to the right frame in no time", async (key) => {
    const landed = await page.evaluate(seekByKey, key);
    expectFrame(landed.frame, await truth(startMs() + landed.saidS * 1000));
    console.log(`seek with ${key}: ${landed.tookMs.toFixed(0)} ms`);
    expect(landed.tookMs).toBeLessThan(SEEK_LIMIT_MS);
  });

  it("steps frame by frame while paused", async () => {
    const before = await page.evaluate(seekByKey, "3");
    const after = await page.evaluate(seekByKey, ".");
    expect((after.frame - before.frame + CLIP_FRAMES) % CLIP_FRAMES).toBe(1);
    const back = await page.evaluate(seekByKey, ",");
    expect(back.frame).toBe(before.frame);
  });

  it("plays on over a segment border", async () => {
    const border = subject.replay.fragments
      .map((fragment) => Date.parse(fragment.end))
      .find((end) => end > startMs() + 4_000 && end < endMs() - 4_000);
    if (border === undefined) throw new Error("the match lies within one segment: there is no border to cross");
    await playFrom(border - 3_000);
    expect(await playPast(border + 2_000, 15_000)).toBeLessThan(1_000);
  });

  it("plays on over a gap and says what is missing", async ({ skip }) => {
    if (!subject.hasGap) skip();
    const gap = subject.replay.gaps.find(({ start, end }) => Date.parse(end) - Date.parse(start) >= 1_000 && Date.parse(start) > startMs() + 3_000);
    if (gap === undefined) throw new Error("TUREPE_GAP is set, but the match has no gap");
    await playFrom(Date.parse(gap.start) - 3_000);
    await playPast(Date.parse(gap.end) + 500, 15_000);
    await page.getByRole("status").filter({ hasText: /Falta de \d\d:\d\d/ }).waitFor();
    await page.getByRole("button", { name: "Pausar" }).click();
    // A jump and not a step: the frame that pausing left on the screen may be the next one already.
    const landed = await page.evaluate(seekByKey, "ArrowRight");
    expectFrame(landed.frame, await truth(startMs() + landed.saidS * 1000));
  });

  it("sees the match end at its end, and can watch it again", async () => {
    await playFrom(endMs() - 4_000);
    await page.getByRole("radio", { name: "2×" }).check();
    await page.locator(".player[data-phase=ended]").waitFor();
    expect(Math.abs((await position()) - endMs())).toBeLessThan(100);
    expect(await isPlaying()).toBe(false);
    await page.locator(".screen").getByRole("button", { name: "Ver otra vez" }).click();
    await page.locator(".player[data-phase=ready]").waitFor();
    await expect.poll(async () => (await position()) - startMs()).toBeLessThan(10_000);
  });

  it("reads it in English on demand", async () => {
    await page.getByRole("button", { name: "Switch to English" }).click();
    await page.getByRole("link", { name: "Download MP4" }).waitFor();
    expect(await page.evaluate(() => document.documentElement.lang)).toBe("en");
    await page.reload();
    await page.getByRole("link", { name: "Download MP4" }).waitFor();
  });

  it("never meets an error or a breach of the security policy", async () => {
    expect(await page.evaluate(() => window.violations)).toEqual([]);
    expect(stage.complaints).toEqual([]);
  });
});
