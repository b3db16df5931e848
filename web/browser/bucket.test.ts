/** A match whose footage lies in a bucket of another origin, behind addresses that expire while it is watched. */
import type { Page, Response } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { localTimeOfDay } from "../src/time/zone";
import { frameInFile, seekByKey } from "./inPage";
import { CLIP_FRAMES, findSubject, type Subject } from "./match";
import { openStage, type Stage } from "./stage";

/** Scheme, host and port of the bucket. */
const BUCKET = process.env["TUREPE_BUCKET"] ?? "";
/** Whether the bucket lets no page in (no CORS): everything has to come from the node. */
const IS_SHUT = process.env["TUREPE_BUCKET_SHUT"] === "1";
/** How long a signed address lives, in this test. */
const URL_LIFE_MS = 10_000;
const FRAME_TOLERANCE = 1;

let subject: Subject;
let stage: Stage;
let page: Page;
/** What came from the bucket, and through the node. */
const fromBucket: Response[] = [];
const fromNode: Response[] = [];

beforeAll(async () => {
  if (BUCKET === "") throw new Error("TUREPE_BUCKET must name the bucket's origin");
  subject = await findSubject();
  stage = await openStage();
  ({ page } = stage);
  page.on("response", (response) => {
    const url = new URL(response.url());
    if (url.origin === BUCKET) fromBucket.push(response);
    if (url.pathname.startsWith("/media/") && response.status() === 206) fromNode.push(response);
  });
});

afterAll(async () => {
  await stage.browser.close();
  await subject.close();
});

const startMs = (): number => Date.parse(subject.replay.start);

/** What the player says of itself, looked at all the time. */
async function watchFace(): Promise<void> {
  await page.evaluate(() => {
    const seen = new Set<string>();
    Object.assign(window, { seen });
    const look = (): void => {
      const player = document.querySelector<HTMLElement>(".player");
      if (player?.dataset["phase"] !== undefined) seen.add(player.dataset["phase"]);
      for (const notice of document.querySelectorAll(".player [role=alert], .player [role=status]")) {
        const text = notice.textContent.trim();
        if (text !== "") seen.add(text);
      }
    };
    new MutationObserver(look).observe(document.body, { attributes: true, characterData: true, childList: true, subtree: true });
    look();
  });
}

const seen = (): Promise<string[]> => page.evaluate(() => [...(window as unknown as { seen: Set<string> }).seen]);

const mediaTime = (): Promise<number> => page.evaluate(() => document.querySelector<HTMLVideoElement>(".player video")?.currentTime ?? 0);

async function open(wallMs: number): Promise<void> {
  const { url, club, court, date, time, replay } = subject;
  await page.goto(`${url}/${club}/${court}/${date}/${time}?t=${localTimeOfDay(wallMs, replay.club.zone)}`);
  await page.locator(".player[data-phase=ready]").waitFor();
  const tap = page.getByRole("button", { name: "Toca para reproducir" });
  const isPlaying = (): Promise<boolean> =>
    page.evaluate(() => document.querySelector<HTMLVideoElement>(".player video")?.paused === false);
  await expect.poll(async () => (await tap.isVisible()) || (await isPlaying()), { timeout: 10_000 }).toBe(true);
  if (await tap.isVisible()) await tap.click();
}

/** Waits until so many more seconds were played; the longest time that nothing moved. */
async function playOn(seconds: number): Promise<number> {
  const end = (await mediaTime()) + seconds;
  let [last, movedAt, longestMs] = [await mediaTime(), Date.now(), 0];
  await expect
    .poll(
      async () => {
        const now = await mediaTime();
        longestMs = Math.max(longestMs, Date.now() - movedAt);
        if (now !== last) [last, movedAt] = [now, Date.now()];
        return now >= end;
      },
      { timeout: seconds * 1_000 + 15_000, interval: 100 },
    )
    .toBe(true);
  return longestMs;
}

/** The right picture, by way of the segment's plain file. */
async function expectRightFrame(landed: { readonly frame: number; readonly saidS: number }): Promise<void> {
  const wallMs = startMs() + landed.saidS * 1_000;
  const segment = subject.replay.fragments.find(({ start, end }) => Date.parse(start) <= wallMs && wallMs < Date.parse(end));
  if (segment === undefined) throw new Error("nothing was recorded there");
  const url = IS_SHUT ? await throughNode(segment.url) : segment.url;
  const expected = await page.evaluate(frameInFile, { url, atS: (wallMs - Date.parse(segment.start)) / 1_000 });
  const off = Math.abs(landed.frame - expected) % CLIP_FRAMES;
  expect(Math.min(off, CLIP_FRAMES - off), `frame ${landed.frame}, expected ${expected}`).toBeLessThanOrEqual(FRAME_TOLERANCE);
}

/** Where the node has a segment that the answer sends to the bucket for. */
async function throughNode(url: string): Promise<string> {
  const id = /([0-9a-f-]{36})\.mp4/.exec(url)?.[1] ?? "none";
  const playlist = await (await fetch(`${subject.url}${subject.replay.playlistUrl ?? ""}?via=node`)).text();
  const found = playlist.split("\n").find((line) => line.startsWith("/media/") && line.includes(id));
  if (found === undefined) throw new Error(`no ${id} in ${playlist}`);
  return found;
}

describe.skipIf(IS_SHUT)("a match in a bucket", () => {
  it("plays straight from there, and the viewer does not notice addresses that expire", async () => {
    await open(startMs());
    await watchFace();
    expect(await playOn(12)).toBeLessThan(1_500);
    // A pause longer than any address lives.
    await page.getByRole("button", { name: "Pausar" }).click();
    await page.waitForTimeout(URL_LIFE_MS + 2_000);
    const before = await mediaTime();
    await page.getByRole("button", { name: "Reproducir" }).first().click();
    expect(await playOn(12)).toBeLessThan(1_500);
    expect((await mediaTime()) - before).toBeGreaterThan(11);
    // Nothing but the match was ever shown.
    expect(await seen()).toEqual(["ready"]);
    expect(fromNode, "nothing went through the node").toEqual([]);
    expect(new Set(fromBucket.map((response) => response.status()))).toEqual(new Set([206]));
    const addresses = new Set(fromBucket.map((response) => new URL(response.url()).searchParams.get("X-Amz-Date")));
    expect(addresses.size, "addresses were renewed").toBeGreaterThanOrEqual(2);
  });

  it.each(["9", "1", "6", "l", "j", "0"])("seeks with “%s” to the right frame", async (key) => {
    await expectRightFrame(await page.evaluate(seekByKey, key));
  });

  it("never meets an error or a breach of the security policy", async () => {
    expect(await page.evaluate(() => window.violations)).toEqual([]);
    expect(stage.complaints).toEqual([]);
  });
});

describe.skipIf(!IS_SHUT)("a match in a bucket that lets no page in", () => {
  it("comes from the node, without a word", async () => {
    await open(startMs() + 5_000);
    await watchFace();
    expect(await playOn(6)).toBeLessThan(3_000);
    expect(await seen()).not.toContain("failed");
    expect(fromNode.length).toBeGreaterThan(0);
    expect(fromNode.every((response) => new URL(response.url()).searchParams.get("via") === "node")).toBe(true);
  });

  it.each(["8", "1"])("seeks with “%s” to the right frame", async (key) => {
    await expectRightFrame(await page.evaluate(seekByKey, key));
  });

  it("breaches no security policy", async () => {
    expect(await page.evaluate(() => window.violations)).toEqual([]);
    // The browser says that it may not read what the bucket answers, and that alone.
    expect(stage.complaints.filter((text) => !/CORS|net::ERR_FAILED/.test(text))).toEqual([]);
  });
});
