/** A real Chromium on a phone-sized screen, and what it complains of. */
import { chromium, devices, type Browser, type Page } from "playwright-core";

import { installReader } from "./inPage";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PHONE = { ...devices["Pixel 7"], viewport: { width: 390, height: 844 }, locale: "es-ES" };

export interface Stage {
  readonly browser: Browser;
  readonly page: Page;
  /** Errors of the console and of scripts. */
  readonly complaints: string[];
}

export async function openStage(): Promise<Stage> {
  const browser = await chromium.launch({ executablePath: process.env["TUREPE_CHROMIUM"] ?? "/usr/bin/chromium", args: FLAGS });
  const context = await browser.newContext(PHONE);
  await context.addInitScript(installReader);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.stack ?? error.message));
  return { browser, page, complaints };
}
