/**
 * The thin client: one function for each question a page asks. Paths, parameters and answers are checked against the
 * generated types; errors become values (`Outcome`), because every page has something to say about each of them.
 */
import createClient from "openapi-fetch";

import { problemFrom, type Outcome } from "./problem";
import type { paths } from "./schema";
import type { AccessOpened, AccessRequest, Club, ClubSummary, DaySlots, MonthDays, Replay } from "./types";

const client = createClient<paths>({
  baseUrl: window.location.origin,
  headers: { Accept: "application/json" },
  // Looked up at each call, so that a test can stand in for the network.
  fetch: (request) => globalThis.fetch(request),
});

/** Which court of which club. */
export interface CourtPath {
  readonly club: string;
  readonly court: string;
}

/** Which match of a court. `offset` only where the start time occurs twice that day. */
export interface MatchPath extends CourtPath {
  readonly date: string;
  readonly time: string;
  readonly offset?: string | undefined;
}

export async function listClubs(signal: AbortSignal): Promise<Outcome<readonly ClubSummary[]>> {
  const outcome = await settle(client.GET("/api/clubs", { signal }));
  return outcome.ok ? { ok: true, value: outcome.value.clubs } : outcome;
}

export function getClub(club: string, signal: AbortSignal): Promise<Outcome<Club>> {
  return settle(client.GET("/api/clubs/{club}", { params: { path: { club } }, signal }));
}

/** `month`: `YYYY-MM`. */
export function listDays(path: CourtPath, month: string, signal: AbortSignal): Promise<Outcome<MonthDays>> {
  const { club, court } = path;
  return settle(
    client.GET("/api/clubs/{club}/courts/{court}/days", { params: { path: { club, court }, query: { month } }, signal }),
  );
}

/** `date`: `YYYY-MM-DD`. */
export function listSlots(path: CourtPath, date: string, signal: AbortSignal): Promise<Outcome<DaySlots>> {
  const { club, court } = path;
  return settle(
    client.GET("/api/clubs/{club}/courts/{court}/slots", { params: { path: { club, court }, query: { date } }, signal }),
  );
}

export function getReplay(path: MatchPath, signal: AbortSignal): Promise<Outcome<Replay>> {
  const { club, court, date, time, offset } = path;
  const query = offset === undefined ? { date, time } : { date, time, offset };
  return settle(
    client.GET("/api/clubs/{club}/courts/{court}/replay", { params: { path: { club, court }, query }, signal }),
  );
}

/** Shows a link, or the code of a match; the browser remembers what is opened by it. */
export function openAccess(club: string, body: AccessRequest): Promise<Outcome<AccessOpened>> {
  return settle(client.POST("/api/clubs/{club}/access", { params: { path: { club } }, body }));
}

interface Answer<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

async function settle<T>(call: Promise<Answer<T>>): Promise<Outcome<T>> {
  try {
    const { data, error, response } = await call;
    if (response.ok && data !== undefined) {
      return { ok: true, value: data };
    }
    return { ok: false, problem: problemFrom(error, response.status) };
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") {
      throw error;
    }
    // `fetch` rejects with a TypeError when nothing was reached; a body that is no JSON is a SyntaxError.
    return { ok: false, problem: error instanceof TypeError ? { kind: "offline" } : { kind: "broken", status: 0 } };
  }
}
