/** A court is watched live on a phone: how far behind the clock, back in time and to the edge again. */
import { spawn, type ChildProcess } from "node:child_process";

import { chromium, devices, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PHONE = { ...devices["Pixel 7"], viewport: { width: 390, height: 844 }, locale: "es-ES" };

const WIDTH = 384;
const HEIGHT = 216;
const RATE = 25;
/** The clock as bits of 8 × 16 pixels, the highest first. */
const BITS = 48;
const BIT_WIDTH = WIDTH / BITS;
const BIT_HEIGHT = 16;

/** Behind the clock by more than this is not live to anybody who hears the ball outside. */
const LIVE_LIMIT_MS = 5_000;
const SAMPLES = 60;

let camera: ChildProcess;
let timer: NodeJS.Timeout;
let browser: Browser;
let page: Page;
const complaints: string[] = [];

/** A camera whose pictures tell when they were made, in real time. */
function startCamera(rtmp: string): void {
  camera = spawn(
    "ffmpeg",
    [
      ...["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", `${String(WIDTH)}x${String(HEIGHT)}`, "-r", String(RATE), "-i", "-"],
      ...["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", String(2 * RATE)],
      ...["-b:v", "1M", "-f", "flv", rtmp],
    ],
    { stdio: ["pipe", "inherit", "inherit"] },
  );
  const started = Date.now();
  let made = 0;
  timer = setInterval(() => {
    while (made * (1000 / RATE) <= Date.now() - started) {
      made += 1;
      const picture = Buffer.alloc(WIDTH * HEIGHT, 60 + (made % 40));
      const now = BigInt(Date.now());
      for (let bit = 0; bit < BITS; bit += 1) {
        const value = (now >> BigInt(BITS - 1 - bit)) & 1n ? 235 : 16;
        for (let row = 0; row < BIT_HEIGHT; row += 1) {
          const at = row * WIDTH + bit * BIT_WIDTH;
          picture.fill(value, at, at + BIT_WIDTH);
        }
      }
      camera.stdin?.write(picture);
    }
  }, 10);
}

/** Runs in the page: the clock that the picture shows, and the clock. */
function readClock({ width, height, bits }: { width: number; height: number; bits: number }): { shown: number; now: number } | null {
  const video = document.querySelector<HTMLVideoElement>(".live-video");
  if (video === null || video.readyState < 2) return null;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = 16;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("no canvas");
  context.drawImage(video, 0, 0, width, height);
  const now = Date.now();
  let shown = 0;
  for (let bit = 0; bit < bits; bit += 1) {
    const [red = 0] = context.getImageData(((bit + 0.5) * width) / bits, 8, 1, 1).data;
    shown = shown * 2 + (red > 127 ? 1 : 0);
  }
  return { shown, now };
}

const clock = async (): Promise<number> => {
  const read = await page.evaluate(readClock, { width: WIDTH, height: HEIGHT, bits: BITS });
  return read === null ? Number.NaN : read.now - read.shown;
};

async function until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what} did not happen`);
    await page.waitForTimeout(100);
  }
}

beforeAll(async () => {
  startCamera(process.env["TUREPE_LIVE_RTMP"] ?? "");
  browser = await chromium.launch({ executablePath: process.env["TUREPE_CHROMIUM"] ?? "/usr/bin/chromium", args: FLAGS });
  page = await (await browser.newContext(PHONE)).newPage();
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.stack ?? error.message));
});

afterAll(async () => {
  clearInterval(timer);
  camera.kill("SIGKILL");
  await browser.close();
});

describe("a court that is live", () => {
  it("is opened from the court's page and plays close behind the clock", async () => {
    const [base, club, court] = [process.env["TUREPE_URL"], process.env["TUREPE_CLUB"], process.env["TUREPE_COURT"]];
    const address = `${base ?? ""}/${club ?? ""}/${court ?? ""}`;
    // The page learns within seconds that the court is live.
    await page.goto(address);
    await page.getByRole("button", { name: /^En vivo/ }).click({ timeout: 60_000 });
    await until("a live picture", 20_000, async () => (await clock()) < LIVE_LIMIT_MS);
    await until("the word live", 20_000, async () => (await page.locator(".live").getAttribute("data-state")) === "live");
    const behind: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      behind.push(await clock());
      await page.waitForTimeout(250);
    }
    behind.sort((one, other) => one - other);
    const [median, worst] = [behind[SAMPLES / 2] ?? Number.NaN, behind.at(-1) ?? Number.NaN];
    console.info(`glass to glass over LL-HLS in Chromium: median ${String(median)} ms, worst ${String(worst)} ms`);
    expect(median).toBeGreaterThan(0);
    expect(worst).toBeLessThan(LIVE_LIMIT_MS);
  });

  it("goes back and comes to the live edge again", async () => {
    const now = await clock();
    await until("footage to go back to", 60_000, async () => {
      await page.getByRole("button", { name: "30 s" }).click();
      await page.waitForTimeout(1_500);
      return (await clock()) > now + 8_000;
    });
    await until("being behind", 10_000, async () => (await page.locator(".live").getAttribute("data-state")) === "behind");
    // It plays on there.
    const before = await page.evaluate(() => document.querySelector<HTMLVideoElement>(".live-video")?.currentTime ?? 0);
    await page.waitForTimeout(1_500);
    const after = await page.evaluate(() => document.querySelector<HTMLVideoElement>(".live-video")?.currentTime ?? 0);
    expect(after - before).toBeGreaterThan(0.8);
    await page.getByRole("button", { name: "Ir al vivo" }).click();
    await until("the live edge", 20_000, async () => (await clock()) < LIVE_LIMIT_MS);
  });

  it("says nothing on the console", () => {
    expect(complaints).toEqual([]);
  });
});
