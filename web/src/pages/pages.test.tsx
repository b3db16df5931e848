import { render, screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { App } from "../App";
import { answer, CLUB, problem, REPLAY, slot, UNREACHABLE, type Answers, type Network } from "../testing/network";

const NOW = Date.parse("2026-11-21T18:30:00Z"); // 19:30 in Madrid, a Saturday
const CLUB_PATH = "/api/clubs/padel-sur";
const COURT_PATH = `${CLUB_PATH}/courts/cancha-1`;
const REPLAY_PATH = `${COURT_PATH}/replay?date=2026-11-21&time=10:00`;

const BASE: Answers = {
  "/api/clubs": { clubs: [{ slug: "padel-sur", name: "Pádel Sur" }] },
  [CLUB_PATH]: CLUB,
  [`${COURT_PATH}/days?month=2026-11`]: { month: "2026-11", days: [{ date: "2026-11-19", coverage: 0.8 }] },
  [`${COURT_PATH}/slots?date=2026-11-21`]: {
    date: "2026-11-21",
    zone: "Europe/Madrid",
    slots: [
      slot("10:00"),
      slot("11:30", { coverage: 0, thumbnailUrl: null }),
      slot("13:00", { coverage: 0.995 }),
      slot("19:00", { state: "live" }),
      slot("20:30", { state: "future", coverage: 0, thumbnailUrl: null }),
    ],
  },
};

function open(path: string, answers: Answers = BASE): Network {
  const network = answer(answers);
  window.history.replaceState(null, "", path);
  render(<App />);
  return network;
}

beforeEach(() => {
  vi.spyOn(Date, "now").mockReturnValue(NOW);
  vi.spyOn(navigator, "languages", "get").mockReturnValue(["es-AR", "es"]);
});

describe("the way to a match", () => {
  it("goes from the only club over court and day to its start times", async () => {
    open("/");
    const court = await screen.findByRole("link", { name: /Cancha 1/ });
    expect(window.location.pathname).toBe("/padel-sur");
    await waitFor(() => {
      expect(document.title).toBe("Pádel Sur · Tu Repe");
    });
    expect(within(court).getByText("En vivo")).toBeDefined();
    expect(within(screen.getByRole("link", { name: /Cancha 2/ })).queryByText("En vivo")).toBeNull();
    expect(screen.getByText("Hoy abierto 08:00–24:00")).toBeDefined();

    await userEvent.click(court);
    const match = await screen.findByRole("link", { name: /^10:00/ });
    expect(match.getAttribute("href")).toBe("/padel-sur/cancha-1/2026-11-21/10:00");
    expect(within(match).getByText("100 % grabado")).toBeDefined();
  });

  it("lists the clubs where there are several", async () => {
    open("/", {
      "/api/clubs": { clubs: [{ slug: "a", name: "Club A" }, { slug: "b", name: "Club B" }] },
    });
    expect((await screen.findByRole("link", { name: "Club B" })).getAttribute("href")).toBe("/b");
    expect(window.location.pathname).toBe("/");
  });

  it("marks days with footage, today first", async () => {
    open("/padel-sur/cancha-1");
    const days = within(await screen.findByRole("navigation", { name: "Elige el día" }));
    const [today, yesterday] = days.getAllByRole("link");
    expect(today?.getAttribute("aria-current")).toBe("date");
    expect(today?.textContent).toMatch(/^Hoy.*sábado, 21 de noviembre/);
    expect(yesterday?.textContent).toMatch(/^Ayer.* sin grabación$/);
    expect(await days.findByRole("link", { name: /jueves, 19 de noviembre, con grabación/ })).toBeDefined();
  });

  it("tells what was recorded, is being played, is to come, and is missing", async () => {
    open("/padel-sur/cancha-1/2026-11-21");
    const missing = await screen.findByRole("link", { name: /^11:30/ });
    expect(within(missing).getByText("La cámara no grabó este turno")).toBeDefined();
    expect(within(screen.getByRole("link", { name: /^13:00/ })).getByText("99 % grabado")).toBeDefined();
    expect(within(screen.getByRole("link", { name: /^En vivo ?19:00/ })).getByText("Míralo desde el principio")).toBeDefined();
    expect(screen.getByRole("link", { name: /^20:30/ }).dataset["look"]).toBe("future");
  });
});

describe("the start times of a day", () => {
  const day = (slots: readonly ReturnType<typeof slot>[]): Answers => ({
    ...BASE,
    [`${COURT_PATH}/slots?date=2026-11-21`]: { date: "2026-11-21", zone: "Europe/Madrid", slots },
  });
  const empty = (time: string) => slot(time, { coverage: 0, thumbnailUrl: null });

  it.each([
    [["08:30"], "1 horario sin grabación"],
    [["08:30", "11:30", "14:30"], "3 horarios sin grabación"],
  ])("come newest first, and those without footage (%s) are one line that opens", async (without, said) => {
    open("/padel-sur/cancha-1/2026-11-21", day([...without.map(empty), slot("10:00"), slot("13:00")]));
    const line = await screen.findByText(said);
    const shown = screen.getAllByRole("link", { name: /^1[03]:00/ }).map((link) => link.textContent.slice(0, 5));
    expect(shown).toEqual(["13:00", "10:00"]);
    const folded = line.closest("details");
    expect(folded?.open).toBe(false);
    expect([...(folded?.querySelectorAll("a") ?? [])].map((link) => link.textContent.slice(0, 5))).toEqual([...without].reverse());
  });

  it("of a court without a camera blame no camera", async () => {
    const path = `${CLUB_PATH}/courts/cancha-2`;
    open("/padel-sur/cancha-2/2026-11-21", {
      ...BASE,
      [`${path}/days?month=2026-11`]: { month: "2026-11", days: [] },
      [`${path}/slots?date=2026-11-21`]: { date: "2026-11-21", zone: "Europe/Madrid", slots: [empty("10:00"), empty("11:30")] },
    });
    expect(await screen.findByText(/^Cancha 2 no tiene cámara/)).toBeDefined();
    expect(screen.queryByText("La cámara no grabó este turno")).toBeNull();
  });
});

describe("a match", () => {
  it("offers player, download, what is missing and its neighbours", async () => {
    open("/padel-sur/cancha-1/2026-11-21/10:00", { ...BASE, [REPLAY_PATH]: REPLAY });
    const download = await screen.findByRole("link", { name: "Descargar MP4" });
    expect(download.getAttribute("href")).toBe("/replay/token.mp4");
    expect(screen.getByRole("region", { name: "Reproductor" })).toBeDefined();
    const scrubber = screen.getByRole("slider", { name: "Hora del partido" });
    expect(scrubber.getAttribute("aria-valuetext")).toBe("10:00:00");
    expect(screen.getByText("Falta de 10:12 a 10:14: cámara sin conexión")).toBeDefined();
    expect(await screen.findByRole("link", { name: "Siguiente: 11:30" })).toBeDefined();
    await waitFor(() => {
      expect(document.title).toMatch(/^Cancha 1, 10:00 · Sábado, 21 de noviembre/);
    });
  });

  it("says why there is no sound, in both languages and for both reasons", async () => {
    const replay = { ...REPLAY, audioLeftOut: { codec: "G.711 A-law", detail: "G.711 A-law audio cannot be carried" } };
    open("/padel-sur/cancha-1/2026-11-21/10:00", { ...BASE, [REPLAY_PATH]: replay });
    expect(await screen.findByText(/Sin sonido: la cámara envía G\.711 A-law/)).toBeDefined();
    await userEvent.click(screen.getByRole("button", { name: "EN: Switch to English" }));
    expect(await screen.findByText(/No sound: the camera sends G\.711 A-law/)).toBeDefined();
  });

  it("says of a court that is live why there is no sound", async () => {
    const [first, ...others] = CLUB.courts;
    if (first === undefined) throw new Error("the club has courts");
    const channels = first.channels.map((channel) => ({
      ...channel,
      liveUrl: first.liveUrl,
      audioLeftOut: { codec: null, detail: "AAC audio came without its configuration" },
    }));
    open("/padel-sur/cancha-1", { ...BASE, [CLUB_PATH]: { ...CLUB, courts: [{ ...first, channels }, ...others] } });
    expect(await screen.findByText(/Sin sonido: la cámara no dice cómo leer su audio/)).toBeDefined();
  });

  it("shares a link to the moment", async () => {
    open("/padel-sur/cancha-1/2026-11-21/10:00?t=10:20:30", { ...BASE, [REPLAY_PATH]: REPLAY });
    const user = userEvent.setup();
    await user.click(await screen.findByRole("button", { name: "Compartir este momento" }));
    expect(await screen.findByText("Enlace copiado: empieza a las 10:20:30")).toBeDefined();
    expect(await navigator.clipboard.readText()).toBe(
      `${window.location.origin}/padel-sur/cancha-1/2026-11-21/10:00?t=10:20:30`,
    );
  });

  it("without footage says so and shows where there is some", async () => {
    const none = { ...REPLAY, coverage: 0, gaps: [], playlistUrl: null, downloadUrl: null, thumbnailUrl: null };
    open("/padel-sur/cancha-1/2026-11-21/10:00", { ...BASE, [REPLAY_PATH]: none });
    expect(await screen.findByRole("heading", { name: "Este partido no quedó grabado" })).toBeDefined();
    expect(await screen.findByRole("link", { name: /^13:00/ })).toBeDefined();
    expect(screen.queryByRole("link", { name: /^11:30/ })).toBeNull();
  });

  it("not yet begun says when to come back", async () => {
    const future = { ...REPLAY, start: "2026-11-21T19:30:00Z", end: "2026-11-21T21:00:00Z", coverage: 0, playlistUrl: null, downloadUrl: null };
    open("/padel-sur/cancha-1/2026-11-21/10:00", { ...BASE, [REPLAY_PATH]: future });
    expect(await screen.findByText(/Vuelve a las 20:30/)).toBeDefined();
  });
});

describe("a match that is not open to everybody", () => {
  const ACCESS_PATH = `${CLUB_PATH}/access`;
  const MATCH = "/padel-sur/cancha-1/2026-11-21/10:00";
  const OPENED = { until: "2026-12-21T09:00:00.000Z", court: "cancha-1", live: true, from: null, to: null };
  const locked = (policy: "link" | "code"): Answers => ({
    ...BASE,
    [CLUB_PATH]: { ...CLUB, access: policy },
    [REPLAY_PATH]: problem(403, `${policy}_required`),
  });

  it("asks for its code, says what is wrong with it, and plays", async () => {
    open(MATCH, { ...locked("code"), [ACCESS_PATH]: problem(403, "code_wrong") });
    const user = userEvent.setup();
    await screen.findByRole("heading", { name: "Este partido se abre con un código" });
    const field = screen.getByLabelText("Código del partido");
    const button = screen.getByRole<HTMLButtonElement>("button", { name: "Ver el partido" });
    await user.type(field, "k7m4q");
    expect(button.disabled).toBe(true);
    await user.type(field, "x{Enter}");
    expect((await screen.findByRole("alert")).textContent).toMatch(/no es de este partido/);

    answer({ ...locked("code"), [ACCESS_PATH]: problem(429, "too_many_attempts", { retryAt: "2026-11-21T19:05:00.000Z" }) });
    await user.click(button);
    await screen.findByText(/Prueba de nuevo a las 14:05/);

    const network = answer({ ...locked("code"), [ACCESS_PATH]: OPENED, [REPLAY_PATH]: REPLAY });
    await user.click(button);
    await screen.findByRole("link", { name: "Descargar MP4" });
    expect(network.sent[0]).toEqual({ code: "K7M4QX", court: "cancha-1", date: "2026-11-21", time: "10:00" });
  });

  it("says where a link is to be had", async () => {
    open(MATCH, locked("link"));
    await screen.findByRole("heading", { name: "Este partido se abre con un enlace del club" });
    expect(screen.queryByLabelText("Código del partido")).toBeNull();
    await userEvent.click(screen.getByRole("button", { name: "EN: Switch to English" }));
    await screen.findByText(/Ask for it at the desk/);
  });

  it("shows a link to the server before anything is asked for, and takes it out of the address", async () => {
    const network = open(`${MATCH}#link=secret`, { ...locked("link"), [ACCESS_PATH]: OPENED, [REPLAY_PATH]: REPLAY });
    await screen.findByRole("link", { name: "Descargar MP4" });
    expect(network.asked[0]).toBe(ACCESS_PATH);
    expect(network.sent[0]).toEqual({ link: "secret" });
    expect(window.location.hash).toBe("");
    expect(network.asked.join(" ")).not.toContain("secret");
  });

  it.each([
    [410, "access_expired", "Este acceso ya venció"],
    [410, "access_revoked", "El club retiró este acceso"],
    [403, "link_invalid", "Este enlace no es válido"],
  ] as const)("says what has become of a link: %s %s", async (status, code, title) => {
    open(`${MATCH}#link=secret`, { ...locked("link"), [ACCESS_PATH]: problem(status, code) });
    await screen.findByRole("heading", { name: title });
    await userEvent.click(screen.getByRole("button", { name: "Seguir sin el enlace" }));
    await screen.findByRole("heading", { name: "Este partido se abre con un enlace del club" });
  });

  it("takes a new code where an old one has expired", async () => {
    open(MATCH, { ...locked("code"), [REPLAY_PATH]: problem(410, "access_expired") });
    await screen.findByRole("heading", { name: "Este acceso ya venció" });
    await screen.findByLabelText("Código del partido");
  });

  it("says so on the court's page, where its start times are", async () => {
    const [first, ...others] = CLUB.courts;
    if (first === undefined) throw new Error("the club has courts");
    const live = { ...first, isLive: true, liveUrl: null };
    open("/padel-sur/cancha-1", { ...BASE, [CLUB_PATH]: { ...CLUB, access: "code", courts: [live, ...others] } });
    await screen.findByText(/Cada partido se abre con el código/);
    expect(screen.getByText(/En vivo se ve con el código/)).toBeDefined();
    expect(await screen.findByRole("link", { name: /^13:00/ })).toBeDefined();
  });
});

describe("what cannot be found", () => {
  it.each([
    ["an unknown club", "/nada", { "/api/clubs/nada": problem(404, "club_not_found") }, "No conocemos este club", "/"],
    ["an unknown court", "/padel-sur/otra", BASE, "Eso no existe en este club", "/padel-sur"],
    ["a date that is none", "/padel-sur/cancha-1/2026-02-30", BASE, "Esa fecha no existe", "/padel-sur/cancha-1"],
    ["an address that is none", "/a/b/c/d/e", BASE, "Esta página no existe", "/"],
    [
      "a time that is no slot",
      "/padel-sur/cancha-1/2026-11-21/10:00",
      { ...BASE, [REPLAY_PATH]: problem(404, "no_such_slot") },
      "A las 10:00 no empieza ningún partido",
      "/padel-sur/cancha-1/2026-11-21",
    ],
  ])("%s is told with a way on", async (_, path, answers: Answers, title, href) => {
    open(path, answers);
    const heading = await screen.findByRole("heading", { name: title });
    const links = within(heading.parentElement ?? document.body).getAllByRole("link");
    await waitFor(() => {
      expect(links.at(-1)?.getAttribute("href")).toBe(href);
    });
  });

  it("a time that came twice offers both", async () => {
    open("/padel-sur/cancha-1/2026-11-21/10:00", {
      ...BASE,
      [REPLAY_PATH]: problem(409, "ambiguous_time", { offsets: ["+02:00", "+01:00"] }),
    });
    const first = await screen.findByRole("link", { name: /Antes del cambio de hora/ });
    expect(first.getAttribute("href")).toBe("/padel-sur/cancha-1/2026-11-21/10:00?offset=%2B02%3A00");
    expect(screen.getByRole("link", { name: /Después del cambio de hora/ })).toBeDefined();
  });

  it("no network is told, and a retry gets on", async () => {
    open("/padel-sur", { [CLUB_PATH]: UNREACHABLE });
    await screen.findByRole("heading", { name: "Sin conexión" });
    answer(BASE);
    await userEvent.click(screen.getByRole("button", { name: "Reintentar" }));
    expect(await screen.findByRole("heading", { name: "Pádel Sur" })).toBeDefined();
  });

  it("an answer that is not ours is our fault, not the player's", async () => {
    open("/padel-sur", { [CLUB_PATH]: new Response("<html>Bad gateway</html>", { status: 502 }) });
    expect(await screen.findByRole("heading", { name: "Algo falló de nuestro lado" })).toBeDefined();
  });
});

describe("a page left open", () => {
  it("asks again by itself when its addresses expire, and not before", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"], shouldAdvanceTime: true });
    try {
      const expiresAt = new Date(NOW + 6 * 3_600_000).toISOString();
      const network = open("/padel-sur/cancha-1/2026-11-21/10:00", { ...BASE, [REPLAY_PATH]: { ...REPLAY, expiresAt } });
      await screen.findByRole("heading", { name: /10:00/ });
      const asked = (): number => network.asked.filter((path) => path === REPLAY_PATH).length;
      expect(asked()).toBe(1);
      await vi.advanceTimersByTimeAsync(5.9 * 3_600_000);
      expect(asked()).toBe(1);
      await vi.advanceTimersByTimeAsync(0.2 * 3_600_000);
      expect(asked()).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("language", () => {
  it("is the browser's until one is chosen, which is remembered", async () => {
    vi.spyOn(navigator, "languages", "get").mockReturnValue(["en-GB"]);
    open("/padel-sur");
    expect(await screen.findByRole("heading", { name: "Which court did you play on?" })).toBeDefined();
    await waitFor(() => {
      expect(document.documentElement.lang).toBe("en");
    });
    await userEvent.click(screen.getByRole("button", { name: "ES: Cambiar a español" }));
    expect(screen.getByRole("heading", { name: "¿Dónde jugaste?" })).toBeDefined();
    await waitFor(() => {
      expect(document.documentElement.lang).toBe("es");
    });
    expect(window.localStorage.getItem("turepe.locale")).toBe("es");
  });
});
