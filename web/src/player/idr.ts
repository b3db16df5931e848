/**
 * Whether a fragment begins with an IDR picture (H.264), read from its bytes: a browser does not tell that it waits for one.
 * Boxes: ISO/IEC 14496-12 §8.8; `avcC`: 14496-15 §5.3.3; NAL unit types: ITU-T H.264 table 7-1. Pure.
 */

/** Video's track in the server's files. */
const VIDEO_TRACK = 1;
const NAL_SLICE = 1;
const NAL_IDR_SLICE = 5;
/** `trun` and its optional fields. */
const HAS_DATA_OFFSET = 0x1;
/** Units before the first slice (AUD, SPS, PPS, SEI) that are looked at. */
const MAX_UNITS = 64;

/** `null` where it is not H.264, or cannot be told. */
export function startsWithIdr(init: Uint8Array | null | undefined, fragment: Uint8Array): boolean | null {
  const lengthSize = init ? nalLengthSize(init) : null;
  const start = lengthSize === null ? null : firstPicture(fragment);
  if (lengthSize === null || start === null) return null;
  const view = viewOf(fragment);
  let at = start;
  for (let unit = 0; unit < MAX_UNITS && at + lengthSize < fragment.length; unit += 1) {
    let length = 0;
    for (let byte = 0; byte < lengthSize; byte += 1) length = length * 256 + view.getUint8(at + byte);
    const type = view.getUint8(at + lengthSize) & 0x1f;
    if (type === NAL_IDR_SLICE) return true;
    if (type === NAL_SLICE) return false;
    at += lengthSize + length;
  }
  return null;
}

/** Bytes of the length in front of each NAL unit; `null` if this is no H.264. */
function nalLengthSize(init: Uint8Array): number | null {
  // The box lies deep in the sample description; its four letters appear nowhere else in front of it.
  const at = init.findIndex((_, index) => typeAt(init, index) === "avcC");
  const flags = at < 0 ? undefined : init[at + 8];
  return flags === undefined ? null : (flags & 3) + 1;
}

/** Where the first picture of the first movie fragment lies. */
function firstPicture(bytes: Uint8Array): number | null {
  const movie = boxes(bytes, 0, bytes.length).find((box) => box.type === "moof");
  if (movie === undefined) return null;
  const view = viewOf(bytes);
  for (const track of boxes(bytes, movie.body, movie.end).filter((box) => box.type === "traf")) {
    const parts = boxes(bytes, track.body, track.end);
    const header = parts.find((box) => box.type === "tfhd" && box.end >= box.body + 8);
    const run = parts.find((box) => box.type === "trun" && box.end >= box.body + 12);
    if (header === undefined || run === undefined || view.getUint32(header.body + 4) !== VIDEO_TRACK) continue;
    // Counted from the movie fragment's beginning (`default-base-is-moof`).
    if ((view.getUint32(run.body) & HAS_DATA_OFFSET) !== 0) return movie.start + view.getInt32(run.body + 8);
  }
  return null;
}

interface Box {
  readonly type: string;
  readonly start: number;
  readonly body: number;
  readonly end: number;
}

/** The boxes between two places; those that are cut short are left out. */
function boxes(bytes: Uint8Array, from: number, to: number): readonly Box[] {
  const view = viewOf(bytes);
  const found: Box[] = [];
  for (let start = from; start + 8 <= to; ) {
    const size = view.getUint32(start);
    const end = start + size;
    if (size < 8 || end > to) break;
    found.push({ type: typeAt(bytes, start + 4), start, body: start + 8, end });
    start = end;
  }
  return found;
}

function typeAt(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
