import { describe, expect, it } from "vitest";

import { initsOf, playable, readTracks, type Tracks } from "./playable";

const H264: Tracks = { video: "avc1.64001f", audio: "mp4a.40.2" };
const HEVC: Tracks = { video: "hvc1.1.6.L93.B0", audio: "mp4a.40.2" };
const MUTE: Tracks = { video: "avc1.64001f", audio: null };

/** Ten seconds in two media segments each. */
function playlist(...inits: readonly string[]): string {
  const sections = inits.map((init, number) =>
    [
      ...(number > 0 ? ["#EXT-X-DISCONTINUITY"] : []),
      `#EXT-X-MAP:URI="/init/${init}.mp4"`,
      `#EXT-X-PROGRAM-DATE-TIME:2026-11-21T10:00:${String(number * 10).padStart(2, "0")}.000Z`,
      ...[0, 1].flatMap((part) => ["#EXTINF:5.000000,", `#EXT-X-BYTERANGE:10@${String(part * 10)}`, `/media/${String(number)}.mp4`]),
    ].join("\n"),
  );
  return ["#EXTM3U", "#EXT-X-VERSION:7", ...sections, "#EXT-X-ENDLIST", ""].join("\n");
}

const TRACKS = new Map([
  ["/init/h264.mp4", H264],
  ["/init/other.mp4", { ...H264, video: "avc1.640028" }],
  ["/init/hevc.mp4", HEVC],
  ["/init/mute.mp4", MUTE],
]);
const canPlay = ({ video }: Tracks): boolean => video?.startsWith("hvc1") !== true;
const at = (seconds: number): number => Date.parse("2026-11-21T10:00:00Z") + seconds * 1000;

describe("a playlist of several encoders", () => {
  it("stays as it is where all of it can be played", () => {
    for (const text of [playlist("h264"), playlist("h264", "other"), playlist()]) {
      expect(playable(text, TRACKS, canPlay)).toEqual({ text, leftOut: [], needsFile: false });
    }
  });

  it("loses what cannot be played, wherever it stands", () => {
    const middle = playable(playlist("h264", "hevc", "h264"), TRACKS, canPlay);
    expect(middle.leftOut).toEqual([{ startMs: at(10), endMs: at(20) }]);
    expect(initsOf(middle.text)).toEqual(["/init/h264.mp4"]);
    expect(middle.text.match(/#EXTINF/g)).toHaveLength(4);
    expect(middle.text.match(/#EXT-X-DISCONTINUITY/g)).toHaveLength(1);
    expect(middle.text).toContain("#EXT-X-ENDLIST");

    const first = playable(playlist("hevc", "hevc", "h264"), TRACKS, canPlay);
    expect(first.leftOut).toEqual([{ startMs: at(0), endMs: at(20) }]);
    expect(first.text).not.toContain("#EXT-X-DISCONTINUITY");

    const last = playable(playlist("h264", "other", "hevc"), TRACKS, canPlay);
    expect(last.leftOut).toEqual([{ startMs: at(20), endMs: at(30) }]);
    expect(last.text.match(/#EXT-X-DISCONTINUITY/g)).toHaveLength(1);
  });

  it("stays where nothing of it can be played, or nothing is known", () => {
    for (const [text, tracks] of [[playlist("hevc"), TRACKS], [playlist("h264", "hevc"), new Map<string, Tracks>()]] as const) {
      expect(playable(text, tracks, canPlay)).toEqual({ text, leftOut: [], needsFile: false });
    }
  });

  it("is played as a file where tracks come and go", () => {
    expect(playable(playlist("h264", "mute", "h264"), TRACKS, canPlay).needsFile).toBe(true);
    expect(playable(playlist("mute", "other"), TRACKS, canPlay).needsFile).toBe(true);
    // There is no file of two codecs: what the buffers of the first can take is played.
    const both = playable(playlist("mute", "hevc", "h264", "mute"), TRACKS, canPlay);
    expect(both.needsFile).toBe(false);
    expect(both.leftOut).toEqual([{ startMs: at(10), endMs: at(30) }]);
  });
});

it("reads the tracks of an init section", () => {
  const bytes = (...parts: (string | readonly number[])[]): Uint8Array =>
    Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? Array.from(part, (letter) => letter.charCodeAt(0)) : part)));
  expect(readTracks(bytes("moov", "avcC", [1, 0x64, 0, 0x1f, 255], "mp4a"))).toEqual(H264);
  expect(readTracks(bytes("hvcC", [1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93]))).toEqual({ ...HEVC, audio: null });
  expect(readTracks(bytes("hvcC", [1, 0x22, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 120], "mp4a"))).toEqual({ video: "hvc1.2.4.H120.90", audio: "mp4a.40.2" });
  expect(readTracks(bytes("moov"))).toEqual({ video: null, audio: null });
});
