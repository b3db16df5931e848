/** A match of a club with codes: typed on a phone, remembered, opened by a link, and taken back. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { openStage, type Stage } from "./stage";

/** What the test needs of a running node: a club with codes, the code of a recorded match, links to it. */
const need = (name: string): string => {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} must be set`);
  return value;
};
const url = need("TUREPE_URL").replace(/\/$/, "");
const match = `/${need("TUREPE_CLUB")}/${need("TUREPE_COURT")}/${need("TUREPE_DATE")}/${need("TUREPE_TIME")}`;
const code = need("TUREPE_CODE");
const wrong = code.startsWith("2") ? "333333" : "222222";

let stage: Stage;
let page: Page;
/** Every address that was asked for, and every Referer. */
const sent: string[] = [];

beforeAll(async () => {
  stage = await openStage();
  ({ page } = stage);
  page.on("request", (request) => sent.push(request.url(), request.headers()["referer"] ?? ""));
});

afterAll(async () => {
  await stage.browser.close();
});

const isPlaying = (): Promise<void> => page.locator(".player[data-phase=ready]").waitFor();

async function shot(name: string): Promise<void> {
  const folder = process.env["TUREPE_SHOTS"];
  if (folder !== undefined) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

describe("a match with a code", () => {
  it("is found by everybody and asks for its code", async () => {
    await page.goto(`${url}${match.split("/").slice(0, 4).join("/")}`);
    await page.getByText(/Cada partido se abre con el código/).waitFor();
    await shot("court");
    await page.locator(`a.slot[href="${match}"]`).click();
    await page.getByRole("heading", { name: "Este partido se abre con un código" }).waitFor();
    await shot("code");
    const [box, wide] = [await page.getByLabel("Código del partido").boundingBox(), page.viewportSize()];
    // A thumb finds it, and nothing sticks out of the screen.
    expect(box?.height).toBeGreaterThan(44);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(wide?.width ?? 0);
  });

  it("says what is wrong with a wrong one and plays with the right one", async () => {
    const field = page.getByLabel("Código del partido");
    await field.fill(wrong);
    await page.getByRole("button", { name: "Ver el partido" }).click();
    await page.getByText(/Ese código no es de este partido/).waitFor();
    await shot("wrong");
    await field.fill("");
    await field.pressSequentially(code.replace("-", " ").toLowerCase());
    await field.press("Enter");
    await isPlaying();
    await shot("open");
  });

  it("is remembered, where no script reads it and no address has it", async () => {
    await page.reload();
    await isPlaying();
    expect(await page.evaluate(() => document.cookie)).toBe("");
    const plain = code.replace("-", "");
    expect(sent.filter((text) => text.toUpperCase().includes(plain))).toEqual([]);
  });

  it("is downloaded without a cookie", async () => {
    const href = await page.getByRole("link", { name: "Descargar MP4" }).getAttribute("href");
    const response = await fetch(`${url}${href ?? ""}`, { headers: { Range: "bytes=0-99" } });
    expect(response.status).toBe(206);
  });

  it("asks whoever comes with another phone", async () => {
    await page.context().clearCookies();
    await page.reload();
    await page.getByRole("heading", { name: "Este partido se abre con un código" }).waitFor();
  });
});

describe("a link", () => {
  it("opens the match and goes out of the address", async () => {
    await page.goto(url + need("TUREPE_LINK"));
    await isPlaying();
    expect(new URL(page.url()).hash).toBe("");
    const secret = need("TUREPE_LINK").split("#link=")[1] ?? "";
    expect(secret.length).toBeGreaterThan(30);
    expect(sent.filter((text) => text.includes(secret))).toEqual([]);
  });

  it("says when the club has taken it back", async () => {
    await page.context().clearCookies();
    await page.goto(url + need("TUREPE_LINK_REVOKED"));
    await page.getByRole("heading", { name: "El club retiró este acceso" }).waitFor();
    await shot("revoked");
    await page.getByRole("button", { name: "Seguir sin el enlace" }).click();
    await page.getByLabel("Código del partido").waitFor();
  });
});

describe("the page", () => {
  it("never breaks the security policy, and complains of nothing but refusals", async () => {
    expect(await page.evaluate(() => window.violations)).toEqual([]);
    const refused = /status of (403|410)/;
    expect(stage.complaints.filter((complaint) => !refused.test(complaint))).toEqual([]);
  });
});
