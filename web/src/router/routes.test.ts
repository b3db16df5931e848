import { describe, expect, it } from "vitest";

import { courtHref, matchHref, parseRoute } from "./routes";

describe("addresses", () => {
  it.each([
    ["/", "", { page: "clubs" }],
    ["/padel-sur", "", { page: "club", club: "padel-sur" }],
    ["/padel-sur/", "", { page: "club", club: "padel-sur" }],
    ["/padel-sur/cancha-1", "", { page: "court", club: "padel-sur", court: "cancha-1" }],
    ["/padel-sur/cancha-1/2026-11-21", "", { page: "court", club: "padel-sur", court: "cancha-1", date: "2026-11-21" }],
    ["/a/b/2026-11-21/10:00", "", { page: "match", club: "a", court: "b", date: "2026-11-21", time: "10:00" }],
    ["/a/b/2026-11-21/10%3A00", "?t=10:12:05", { page: "match", club: "a", court: "b", date: "2026-11-21", time: "10:00", at: "10:12:05" }],
    ["/a/b/2026-10-25/02:30", "?offset=+01:00", { page: "match", club: "a", court: "b", date: "2026-10-25", time: "02:30", offset: "+01:00" }],
    ["/a/b/c/d/e", "", { page: "lost" }],
    ["/Ñandú", "", { page: "lost" }],
    ["/%E0%A4%A", "", { page: "lost" }],
  ])("%s%s", (pathname, search, route) => {
    expect(parseRoute(pathname, search)).toEqual(route);
  });

  it("are read back as they were written", () => {
    const match = { club: "a", court: "b", date: "2026-10-25", time: "02:30", offset: "+02:00", at: "02:31:00" };
    const url = new URL(matchHref(match), "http://x");
    expect(parseRoute(url.pathname, url.search)).toEqual({ page: "match", ...match });
    expect(courtHref("a", "b")).toBe("/a/b");
  });
});
