// A stand-in for the real server, for working on the interface and for its browser tests: same routes, same answers
// (docs/openapi.json), invented matches. Serves `dist/` under the strictest content security policy.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { cutClip } from "./clip.mjs";
import { eveningZone, makeWorld, playlist } from "./world.mjs";

const DIST = fileURLToPath(new URL("../../dist/", import.meta.url));
const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "font-src 'self'", "connect-src 'self'",
  "media-src 'self' blob:", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
].join("; ");
const TYPES = /** @type {Record<string, string>} */ ({
  ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
  ".png": "image/png", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json",
});
const COURTS = [
  { slug: "cancha-1", name: "Cancha 1", isLive: true, channels: [{ id: "0", name: "Fondo", isLive: true }] },
  { slug: "cancha-2", name: "Cancha 2", isLive: true, channels: [{ id: "1", name: "Fondo", isLive: true }, { id: "2", name: "Lateral", isLive: true }] },
  { slug: "cancha-central", name: "Cancha Central", isLive: false, channels: [{ id: "3", name: "Fondo", isLive: false }] },
];

/**
 * Starts the mock on a free port.
 *
 * @param {{ port?: number }} options
 */
export async function startMock({ port = 0 } = {}) {
  const clip = cutClip();
  const world = makeWorld(eveningZone());
  const club = {
    slug: "padel-sur", name: "Pádel Sur", zone: world.zone, appointmentDuration: 90, access: "open",
    hours: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].map((weekday) => ({ weekday, open: "08:00", close: "24:00" })),
    courts: COURTS,
  };
  const iso = (/** @type {number} */ ms) => new Date(ms).toISOString();
  const picture = (/** @type {number} */ ms) => `/frame/${Math.floor(ms / 5_400_000) % clip.pictures.length}.jpg`;

  /** @param {URL} url @returns {[number, unknown]} */
  const api = (url) => {
    const [, , clubSlug, , courtSlug, what] = url.pathname.split("/").filter(Boolean);
    const problem = (/** @type {number} */ status, /** @type {string} */ code, more = {}) =>
      /** @type {[number, unknown]} */ ([status, { type: `urn:turepe:problem:${code}`, title: code, status, detail: code, code, ...more }]);
    if (clubSlug === undefined) {
      return [200, { clubs: [{ slug: club.slug, name: club.name }, { slug: "tenis-norte", name: "Tenis Norte" }, { slug: "la-red", name: "La Red Pádel Club" }] }];
    }
    if (clubSlug !== club.slug) return problem(404, "club_not_found");
    if (courtSlug === undefined) return [200, club];
    const court = COURTS.find(({ slug }) => slug === courtSlug);
    if (court === undefined) return problem(404, "court_not_found");
    if (what === "days") {
      const month = url.searchParams.get("month") ?? "";
      const days = Array.from({ length: 31 }, (_, index) => `${month}-${String(index + 1).padStart(2, "0")}`)
        .filter((date) => world.hasFootage(date))
        .map((date) => ({ date, coverage: 0.9 }));
      return [200, { month, days }];
    }
    const date = url.searchParams.get("date") ?? "";
    if (Number.isNaN(Date.parse(date))) return problem(400, "invalid_date");
    const slots = world.slots(date);
    if (what === "slots") {
      return [200, {
        date, zone: world.zone,
        slots: slots.map(({ time, start, end, state, coverage }) => ({
          time, offset: world.offset, isAmbiguous: false, start: iso(start), end: iso(end), state, coverage,
          thumbnailUrl: coverage > 0 ? picture(start) : null,
        })),
      }];
    }
    const time = url.searchParams.get("time") ?? "";
    if (!/^\d\d:\d\d$/.test(time)) return problem(400, "invalid_time");
    if (date === "2026-10-25" && time === "02:30") return problem(409, "ambiguous_time", { offsets: ["+02:00", "+01:00"] });
    const slot = slots.find((candidate) => candidate.time === time);
    if (slot === undefined) return problem(404, "no_such_slot");
    const now = Date.now();
    const token = `${date}~${time.replace(":", "")}`;
    const until = Math.min(slot.end, now - 4_000);
    const fragments = [];
    for (let start = slot.start; slot.isRecorded && start < until; start += 900_000) {
      fragments.push({ start: iso(start), end: iso(Math.min(start + 900_000, until)), sizeBytes: 15_000_000, url: "/media/mock/clip.mp4" });
    }
    return [200, {
      club: { slug: club.slug, name: club.name, zone: club.zone }, court: { slug: court.slug, name: court.name },
      channelId: court.channels[0]?.id ?? null, start: iso(slot.start), end: iso(slot.end), isLive: slot.state === "live",
      recordedUntil: slot.isRecorded ? iso(until) : null, fragments, coverage: slot.coverage,
      gaps: slot.isRecorded ? slot.gaps.map((gap) => ({ start: iso(gap.start), end: iso(gap.end), cause: "camera" })) : [],
      playlistUrl: slot.isRecorded ? `/replay/${token}/index.m3u8` : null,
      downloadUrl: slot.isRecorded ? `/replay/${token}.mp4` : null,
      thumbnailUrl: slot.isRecorded ? picture(slot.start) : null, expiresAt: iso(now + 6 * 3_600_000),
    }];
  };

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://mock");
    response.setHeader("Content-Security-Policy", POLICY);
    const send = (/** @type {number} */ status, /** @type {string} */ type, /** @type {string | Buffer} */ body) => {
      response.writeHead(status, { "Content-Type": type }).end(body);
    };
    const sendVideo = (/** @type {Buffer} */ bytes) => {
      const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "");
      response.setHeader("Accept-Ranges", "bytes");
      if (range === null) {
        send(200, "video/mp4", bytes);
      } else {
        const [from, to] = [Number(range[1]), range[2] === "" ? bytes.length - 1 : Number(range[2])];
        response.setHeader("Content-Range", `bytes ${from}-${to}/${bytes.length}`);
        send(206, "video/mp4", bytes.subarray(from, to + 1));
      }
    };
    if (url.pathname.startsWith("/api/")) {
      const [status, body] = api(url);
      send(status, status < 400 ? "application/json" : "application/problem+json", JSON.stringify(body));
    } else if (url.pathname.endsWith("/index.m3u8")) {
      const [date, time] = (url.pathname.split("/")[2] ?? "").split("~");
      const slot = world.slots(date ?? "").find((candidate) => candidate.time.replace(":", "") === time);
      if (slot === undefined) send(404, "text/plain", "");
      else send(200, "application/vnd.apple.mpegurl", playlist(slot, clip));
    } else if (url.pathname.startsWith("/init/")) {
      send(200, "video/mp4", clip.init);
    } else if (url.pathname.startsWith("/media/")) {
      sendVideo(clip.media);
    } else if (url.pathname.startsWith("/replay/")) {
      // Not the match, but a video: enough to see that the button downloads one.
      sendVideo(clip.whole);
    } else if (url.pathname.startsWith("/frame/")) {
      send(200, "image/jpeg", clip.pictures[Number.parseInt(url.pathname.slice(7), 10)] ?? Buffer.alloc(0));
    } else {
      const asked = join(DIST, normalize(url.pathname));
      const file = existsSync(asked) && statSync(asked).isFile() ? asked : join(DIST, "index.html");
      response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
      createReadStream(file).pipe(response);
    }
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://127.0.0.1:${bound}`,
    world,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(resolve);
      }),
  };
}
