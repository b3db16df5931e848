import { vi } from "vitest";

import type { Club, ProblemCode, Replay, Slot } from "../api/types";

/** What the network answers in a test: path and query to a JSON body, a problem, or nothing at all. */
export type Answers = Readonly<Record<string, unknown>>;

export const UNREACHABLE = Symbol("unreachable");

export interface Network {
  /** Path and query of each request. */
  readonly asked: readonly string[];
  /** Bodies of requests that have one. */
  readonly sent: readonly unknown[];
}

/** Stands in for the network. Anything not foreseen fails the test by name. */
export function answer(answers: Answers): Network {
  const asked: string[] = [];
  const sent: unknown[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input) => {
    if (input instanceof Request && input.method === "POST") sent.push(await input.clone().json());
    const url = new URL(input instanceof Request ? input.url : input, window.location.origin);
    const key = decodeURIComponent(url.pathname + url.search);
    asked.push(key);
    if (!(key in answers)) return Promise.reject(new Error(`not foreseen in this test: ${key}`));
    const body = answers[key];
    if (body === UNREACHABLE) return Promise.reject(new TypeError("Failed to fetch"));
    if (body instanceof Response) return Promise.resolve(body.clone());
    return Promise.resolve(Response.json(body));
  });
  return { asked, sent };
}

export function problem(status: number, code: ProblemCode, more: object = {}): Response {
  const body = { type: `urn:turepe:problem:${code}`, title: code, status, detail: code, code, ...more };
  return Response.json(body, { status, headers: { "Content-Type": "application/problem+json" } });
}

export const CLUB: Club = {
  slug: "padel-sur",
  name: "Pádel Sur",
  zone: "Europe/Madrid",
  access: "open",
  appointmentDuration: 90,
  hours: [{ weekday: "sat", open: "08:00", close: "24:00" }],
  courts: [
    {
      slug: "cancha-1",
      name: "Cancha 1",
      isLive: true,
      liveUrl: "/live/0193/index.m3u8",
      channels: [{ id: "0193", name: "Fondo", isLive: true, liveUrl: "/live/0193/index.m3u8" }],
    },
    { slug: "cancha-2", name: "Cancha 2", isLive: false, channels: [] },
  ],
};

export function slot(time: string, more: Partial<Slot> = {}): Slot {
  const start = Date.parse(`2026-11-21T${time}:00+01:00`);
  return {
    time,
    offset: "+01:00",
    isAmbiguous: false,
    start: new Date(start).toISOString(),
    end: new Date(start + 5_400_000).toISOString(),
    state: "past",
    coverage: 1,
    thumbnailUrl: "/frame/a.jpg",
    ...more,
  };
}

export const REPLAY: Replay = {
  club: { slug: "padel-sur", name: "Pádel Sur", zone: "Europe/Madrid" },
  court: { slug: "cancha-1", name: "Cancha 1" },
  channelId: "0193",
  start: "2026-11-21T09:00:00.000Z",
  end: "2026-11-21T10:30:00.000Z",
  isLive: false,
  recordedUntil: "2026-11-21T10:30:00.000Z",
  fragments: [],
  coverage: 0.98,
  gaps: [{ start: "2026-11-21T09:12:00.000Z", end: "2026-11-21T09:14:00.000Z", cause: "camera" }],
  playlistUrl: "/replay/token/index.m3u8",
  downloadUrl: "/replay/token.mp4",
  thumbnailUrl: "/frame/a.jpg",
  expiresAt: "2026-11-21T18:00:00.000Z",
};
