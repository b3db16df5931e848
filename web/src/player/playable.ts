/**
 * What of a media playlist this browser can play. A match may hold footage of several encoders: what one of them sent (HEVC, say)
 * a browser may not know, and an hls.js that meets it stops for good. So it is left out, like time that was not recorded.
 * Boxes: ISO/IEC 14496-12 §8.5.2; `avcC` and `hvcC`: 14496-15 §5.3.3 and §8.3.3; codec names: RFC 6381. Pure.
 */

/** The tracks of an init section. */
export interface Tracks {
  readonly video: string | null;
  readonly audio: string | null;
}

/** Of what kind a section's buffer has to be: hls.js makes it once. */
function shapeOf({ video, audio }: Tracks): string {
  return `${video === null ? "" : "video"}${audio === null ? "" : "audio"}`;
}

export function readTracks(init: Uint8Array): Tracks {
  const byte = (at: number): number => init[at] ?? 0;
  const hex = (at: number): string => byte(at).toString(16).padStart(2, "0");
  // The boxes lie deep in the sample descriptions; their four letters appear nowhere else.
  const find = (type: string): number => {
    const [a, b, c, d] = [0, 1, 2, 3].map((at) => type.charCodeAt(at));
    return init.findIndex((_, at) => byte(at) === a && byte(at + 1) === b && byte(at + 2) === c && byte(at + 3) === d);
  };
  const avc = find("avcC");
  const hevc = find("hvcC");
  let video: string | null = null;
  if (avc >= 0) video = `avc1.${hex(avc + 5)}${hex(avc + 6)}${hex(avc + 7)}`;
  else if (hevc >= 0) video = hevcName(init.subarray(hevc + 4));
  return { video, audio: find("mp4a") >= 0 ? "mp4a.40.2" : null };
}

/** Annex E.3 of ISO/IEC 14496-15. */
function hevcName(record: Uint8Array): string {
  const byte = (at: number): number => record[at] ?? 0;
  const space = ["", "A", "B", "C"][byte(1) >> 6] ?? "";
  const tier = (byte(1) & 0x20) === 0 ? "L" : "H";
  const compatible = ((byte(2) << 24) | (byte(3) << 16) | (byte(4) << 8) | byte(5)) >>> 0;
  let reversed = 0;
  for (let bit = 0; bit < 32; bit += 1) if ((compatible & (2 ** bit)) !== 0) reversed += 2 ** (31 - bit);
  const constraints = [...record.subarray(6, 12)];
  while (constraints.at(-1) === 0) constraints.pop();
  const name = `hvc1.${space}${String(byte(1) & 0x1f)}.${reversed.toString(16).toUpperCase()}.${tier}${String(byte(12))}`;
  return [name, ...constraints.map((value) => value.toString(16).toUpperCase())].join(".");
}

/** The init sections of a media playlist, in order, each once. */
export function initsOf(text: string): readonly string[] {
  return [...new Set([...text.matchAll(/^#EXT-X-MAP:.*?URI="([^"]*)"/gm)].map((match) => match[1] ?? ""))];
}

export interface Stretch {
  readonly startMs: number;
  readonly endMs: number;
}

export interface Playable {
  readonly text: string;
  /** Footage that is left out, by wall time. */
  readonly leftOut: readonly Stretch[];
  /** Whether tracks come and go, so that no playlist can be played and only a file can: recordings of older versions. */
  readonly needsFile: boolean;
}

/** The playlist without what cannot be played; unchanged where nothing of it can. */
export function playable(text: string, tracks: ReadonlyMap<string, Tracks>, canPlay: (tracks: Tracks) => boolean): Playable {
  const whole = { text, leftOut: [], needsFile: false };
  const known = initsOf(text).flatMap((uri) => {
    const found = tracks.get(uri);
    return found === undefined ? [] : [{ uri, found }];
  });
  const good = known.filter(({ found }) => canPlay(found));
  const [first] = good;
  if (first === undefined) return whole;
  const mixed = good.filter(({ found }) => shapeOf(found) !== shapeOf(first.found));
  if (mixed.length > 0 && good.length === known.length && new Set(good.map(({ found }) => codecOf(found))).size <= 1)
    return { ...whole, needsFile: true };
  const bad = new Set(known.filter((init) => !good.includes(init) || mixed.includes(init)).map(({ uri }) => uri));
  return bad.size === 0 ? whole : { ...leaveOut(text, bad), needsFile: false };
}

function codecOf({ video }: Tracks): string {
  return video?.split(".")[0] ?? "";
}

function leaveOut(text: string, bad: ReadonlySet<string>): { text: string; leftOut: readonly Stretch[] } {
  const kept: string[] = [];
  const leftOut: Stretch[] = [];
  /** Lines that belong to the next media segment. */
  let own: string[] = [];
  let isBad = false;
  let breaks = false;
  let hasAny = false;
  let wallMs: number | null = null;
  let durationMs = 0;
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#EXT-X-MAP:")) isBad = bad.has(/URI="([^"]*)"/.exec(line)?.[1] ?? "");
    if (line.startsWith("#EXT-X-PROGRAM-DATE-TIME:")) wallMs = Date.parse(line.slice("#EXT-X-PROGRAM-DATE-TIME:".length));
    if (line.startsWith("#EXTINF:")) durationMs = Number.parseFloat(line.slice("#EXTINF:".length)) * 1000;
    const isSegment = line !== "" && !line.startsWith("#");
    if (line === "#EXT-X-DISCONTINUITY") {
      breaks = true;
    } else if (isSegment) {
      if (!isBad) {
        if (breaks && hasAny) kept.push("#EXT-X-DISCONTINUITY");
        kept.push(...own, line);
        [breaks, hasAny] = [false, true];
      } else if (wallMs !== null) {
        const before = leftOut.at(-1);
        const endMs = wallMs + durationMs;
        // One stretch as long as it goes on: dates are rounded to milliseconds.
        if (before !== undefined && Math.abs(before.endMs - wallMs) < 500) leftOut[leftOut.length - 1] = { ...before, endMs };
        else leftOut.push({ startMs: wallMs, endMs });
      }
      own = [];
      wallMs = wallMs === null ? null : wallMs + durationMs;
    } else if (/^#(EXT-X-(MAP|PROGRAM-DATE-TIME|BYTERANGE|GAP|KEY)|EXTINF)\b/.test(line)) {
      own.push(line);
    } else if (!(isBad && line.startsWith("#EXT-X-PART:"))) {
      kept.push(line);
    }
  }
  return { text: kept.join("\n"), leftOut };
}
