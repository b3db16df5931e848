import { describe, expect, it } from "vitest";

import { startsWithIdr } from "./idr";

const bytes = (...parts: (string | number | readonly number[])[]): number[] =>
  parts.flatMap((part) => {
    if (typeof part === "string") return Array.from(part, (letter) => letter.charCodeAt(0));
    return typeof part === "number" ? number(part) : part;
  });
const number = (value: number): number[] => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff);
const box = (type: string, ...body: readonly number[][]): number[] => {
  const inner = body.flat();
  return bytes(inner.length + 8, type, inner);
};
const init = (lengthSize = 4): Uint8Array =>
  new Uint8Array(box("moov", box("trak", box("stsd", number(0), number(1), box("avc1", box("avcC", [1, 100, 0, 31, 0xfc | (lengthSize - 1)]))))));
const traf = (track: number, dataOffset: number): number[] =>
  box("traf", box("tfhd", number(0x20000), number(track)), box("trun", number(0x201), number(1), number(dataOffset), number(9)));
const unit = (type: number, lengthSize = 4, size = 5): number[] => [
  ...number(size).slice(4 - lengthSize),
  type | 0x60,
  ...Array.from({ length: size - 1 }, () => 0),
];
/** A movie fragment of audio and video, whose picture has these units; audio comes first in the media data. */
const fragment = (units: readonly number[][], track = 1): Uint8Array => {
  const audio = [0x65, 0x65, 0x65];
  const build = (at: number): number[] => box("moof", box("mfhd", number(0), number(1)), traf(2, at), traf(track, at + audio.length));
  const at = build(0).length + 8;
  return new Uint8Array(bytes(box("styp", []), build(at), box("mdat", audio, units.flat())));
};

describe("a fragment's first picture", () => {
  it("is an IDR picture or none, whatever comes before its slices", () => {
    expect(startsWithIdr(init(), fragment([unit(5)]))).toBe(true);
    expect(startsWithIdr(init(), fragment([unit(1)]))).toBe(false);
    expect(startsWithIdr(init(), fragment([unit(9), unit(7, 4, 30), unit(8), unit(6, 4, 300), unit(5)]))).toBe(true);
    expect(startsWithIdr(init(), fragment([unit(9), unit(6), unit(1), unit(5)]))).toBe(false);
    expect(startsWithIdr(init(2), fragment([unit(6, 2), unit(1, 2)]))).toBe(false);
  });

  it("is left open where it is no H.264, or cannot be read", () => {
    const whole = fragment([unit(1)]);
    expect(startsWithIdr(new Uint8Array(box("moov", box("hvcC", [1, 2, 3]))), whole)).toBeNull();
    expect(startsWithIdr(null, whole)).toBeNull();
    expect(startsWithIdr(init(), fragment([unit(1)], 3))).toBeNull();
    expect(startsWithIdr(init(), fragment([unit(6)]))).toBeNull();
    for (let length = 0; length < whole.length; length += 1) {
      expect([null, false]).toContain(startsWithIdr(init(), whole.subarray(0, length)));
    }
  });
});
