// What the mock's clubs are and what was recorded there. Slots, gaps and playlists are made up from the clock; the
// pictures of every instant come from the demo clip, which loops without a break: frame = 25 fps × time since the
// recording began, modulo 600.

export const LOOP_MS = 24_000;
export const APPOINTMENT_MS = 90 * 60_000;
/** A slot's footage begins this much before the slot: as in life, a keyframe before it. */
export const LEAD_MS = 1_240;
export const FRAMES_PER_SECOND = 25;
/** Frame counter at the first instant of every slot. */
export const FRAME_AT_START = (LEAD_MS / 1000) * FRAMES_PER_SECOND;

const OPEN_MINUTE = 8 * 60;
const CLOSE_MINUTE = 23 * 60;
const FIRST_SLOT_WITHOUT_FOOTAGE = "11:00";
const SLOT_WITH_GAP = "12:30";

/** A zone without daylight saving in which it is about a quarter past seven in the evening now. */
export function eveningZone(now = Date.now()) {
  let shift = 19 - new Date(now).getUTCHours();
  if (shift < -12) shift += 24;
  if (shift > 14) shift -= 24;
  return { zone: shift === 0 ? "Etc/GMT" : `Etc/GMT${shift > 0 ? "-" : "+"}${Math.abs(shift)}`, shiftMs: shift * 3_600_000 };
}

/** @param {{ zone: string, shiftMs: number }} place */
export function makeWorld({ zone, shiftMs }) {
  const offset = `${shiftMs < 0 ? "-" : "+"}${String(Math.abs(shiftMs) / 3_600_000).padStart(2, "0")}:00`;
  const localDate = (/** @type {number} */ ms) => new Date(ms + shiftMs).toISOString().slice(0, 10);

  /** @param {string} date */
  const slots = (date) => {
    const midnight = Date.parse(`${date}T00:00:00Z`) - shiftMs;
    const now = Date.now();
    const all = [];
    for (let minute = OPEN_MINUTE; minute + 90 <= CLOSE_MINUTE + 60; minute += 90) {
      const start = midnight + minute * 60_000;
      const end = start + APPOINTMENT_MS;
      const time = `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
      const state = end <= now ? "past" : start <= now ? "live" : "future";
      const isRecorded = state !== "future" && time !== FIRST_SLOT_WITHOUT_FOOTAGE && hasFootage(date);
      const gaps = isRecorded && time === SLOT_WITH_GAP ? [{ start: start + 12 * 60_000, end: start + 14 * 60_000 }] : [];
      const missing = gaps.reduce((sum, gap) => sum + gap.end - gap.start, 0);
      const coverage = isRecorded ? 1 - missing / APPOINTMENT_MS : 0;
      all.push({ time, start, end, state, coverage, gaps, isRecorded });
    }
    return all;
  };

  /** Every third day of the past is one without footage. @param {string} date */
  const hasFootage = (date) => {
    const age = Math.round((Date.parse(localDate(Date.now())) - Date.parse(date)) / 86_400_000);
    return age >= 0 && age % 3 !== 2;
  };

  return { zone, offset, localDate, slots, hasFootage };
}

/**
 * The HLS playlist of a slot.
 *
 * @param {{ start: number, end: number, gaps: { start: number, end: number }[] }} slot
 * @param {import("./clip.mjs").Clip} clip
 */
export function playlist(slot, clip, now = Date.now()) {
  const isComplete = slot.end <= now;
  const lines = [
    "#EXTM3U",
    "#EXT-X-VERSION:8",
    "#EXT-X-TARGETDURATION:3",
    "#EXT-X-MEDIA-SEQUENCE:0",
    `#EXT-X-PLAYLIST-TYPE:${isComplete ? "VOD" : "EVENT"}`,
    `#EXT-X-START:TIME-OFFSET=${(LEAD_MS / 1000).toFixed(3)},PRECISE=YES`,
    `#EXT-X-MAP:URI="/init/clip.mp4"`,
  ];
  let wall = slot.start - LEAD_MS;
  let isBroken = true;
  for (let index = 0; wall < Math.min(slot.end, now - 4_000); index += 1) {
    const piece = clip.pieces[index % clip.pieces.length];
    if (piece === undefined) break;
    const end = wall + piece.duration * 1000;
    if (index > 0 && index % clip.pieces.length === 0) isBroken = true;
    if (slot.gaps.some((gap) => wall < gap.end && end > gap.start)) {
      isBroken = true;
    } else {
      if (isBroken && lines.length > 7) lines.push("#EXT-X-DISCONTINUITY", `#EXT-X-MAP:URI="/init/clip.mp4"`);
      if (isBroken) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(wall).toISOString()}`);
      isBroken = false;
      lines.push(`#EXTINF:${piece.duration.toFixed(6)},`, `#EXT-X-BYTERANGE:${piece.length}@${piece.start}`, "/media/mock/clip.mp4");
    }
    wall = end;
  }
  if (isComplete) lines.push("#EXT-X-ENDLIST");
  return `${lines.join("\n")}\n`;
}
