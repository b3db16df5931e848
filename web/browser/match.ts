/** Which match the tests watch, and what the API says of it. */
import { startMock } from "./mock/server.mjs";
import { FRAME_AT_START, FRAMES_PER_SECOND } from "./mock/world.mjs";
import type { Replay } from "../src/api/types";

export interface Subject {
  readonly url: string;
  readonly club: string;
  readonly court: string;
  readonly date: string;
  readonly time: string;
  readonly hasGap: boolean;
  readonly replay: Replay;
  /** The frame counter at an instant, where it is known without looking (the mock invents its matches). */
  readonly knownFrame: ((wallMs: number) => number) | null;
  readonly close: () => Promise<unknown>;
}

/** Frames in the clip: the counter's modulus. */
export const CLIP_FRAMES = 600;

export async function findSubject(): Promise<Subject> {
  const { TUREPE_URL } = process.env;
  if (TUREPE_URL === undefined) {
    const mock = await startMock();
    const date = mock.world.localDate(Date.now());
    const place = { url: mock.url, club: "padel-sur", court: "cancha-1", date, time: "12:30" };
    const replay = await ask(place);
    const startMs = Date.parse(replay.start);
    const knownFrame = (wallMs: number): number =>
      (FRAME_AT_START + Math.floor(((wallMs - startMs) * FRAMES_PER_SECOND) / 1000)) % CLIP_FRAMES;
    return { ...place, hasGap: true, replay, knownFrame, close: mock.close };
  }
  const place = {
    url: TUREPE_URL.replace(/\/$/, ""),
    club: need("TUREPE_CLUB"),
    court: need("TUREPE_COURT"),
    date: need("TUREPE_DATE"),
    time: need("TUREPE_TIME"),
  };
  const replay = await ask(place);
  return { ...place, hasGap: process.env["TUREPE_GAP"] === "1", replay, knownFrame: null, close: () => Promise.resolve() };
}

type Place = Pick<Subject, "url" | "club" | "court" | "date" | "time">;

async function ask({ url, club, court, date, time }: Place): Promise<Replay> {
  const query = new URLSearchParams({ date, time });
  const offset = process.env["TUREPE_OFFSET"];
  if (offset !== undefined) query.set("offset", offset);
  const response = await fetch(`${url}/api/clubs/${club}/courts/${court}/replay?${query.toString()}`);
  if (!response.ok) throw new Error(`the match cannot be found: ${response.status} ${await response.text()}`);
  return (await response.json()) as Replay;
}

function need(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} must be set beside TUREPE_URL`);
  return value;
}
