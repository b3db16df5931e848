/** The pages of the interface and their addresses. Pure: the browser's history stands in `navigation.ts`. */

export type Route =
  | { readonly page: "clubs" }
  | { readonly page: "club"; readonly club: string }
  | { readonly page: "court"; readonly club: string; readonly court: string; readonly date?: string }
  | {
      readonly page: "match";
      readonly club: string;
      readonly court: string;
      readonly date: string;
      readonly time: string;
      readonly offset?: string;
      /** `HH:MM:SS` to begin at, of a shared link. */
      readonly at?: string;
    }
  | { readonly page: "lost" };

/** As the server has it; anything else cannot name a club or a court, so it is not asked. */
const SLUG = /^[a-z0-9-]{1,64}$/;

export function parseRoute(pathname: string, search: string): Route {
  const segments = decode(pathname);
  if (segments === null) return { page: "lost" };
  const [club, court, date, time, ...rest] = segments;
  if (club === undefined) return { page: "clubs" };
  if (!SLUG.test(club) || rest.length > 0) return { page: "lost" };
  if (court === undefined) return { page: "club", club };
  if (!SLUG.test(court)) return { page: "lost" };
  if (date === undefined) return { page: "court", club, court };
  if (time === undefined) return { page: "court", club, court, date };
  const query = new URLSearchParams(search);
  const offset = query.get("offset");
  const at = query.get("t");
  return {
    page: "match",
    club,
    court,
    date,
    time,
    // A `+` that was not escaped arrives as a space.
    ...(offset === null ? {} : { offset: offset.replace(/^ /, "+") }),
    ...(at === null ? {} : { at }),
  };
}

export function clubHref(club: string): string {
  return `/${club}`;
}

export function courtHref(club: string, court: string, date?: string): string {
  return date === undefined ? `/${club}/${court}` : `/${club}/${court}/${date}`;
}

export interface MatchAddress {
  readonly club: string;
  readonly court: string;
  readonly date: string;
  readonly time: string;
  readonly offset?: string | undefined;
  readonly at?: string | undefined;
}

export function matchHref({ club, court, date, time, offset, at }: MatchAddress): string {
  const query = [
    ...(offset === undefined ? [] : [`offset=${encodeURIComponent(offset)}`]),
    ...(at === undefined ? [] : [`t=${at}`]),
  ];
  return `/${club}/${court}/${date}/${time}${query.length > 0 ? `?${query.join("&")}` : ""}`;
}

function decode(pathname: string): readonly string[] | null {
  try {
    return pathname.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return null;
  }
}
