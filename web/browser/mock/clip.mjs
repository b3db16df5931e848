// Cuts the project's demo clip into an HLS sample (one fragmented MP4, byte ranges) and a few pictures, with ffmpeg.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const DEMO = fileURLToPath(new URL("../../../crates/turepe/assets/demo.mp4", import.meta.url));
const PICTURE_SECONDS = [2, 8, 14, 20];

/**
 * @typedef {{ duration: number, start: number, length: number }} Piece  seconds, byte offset, bytes
 * @typedef {{ init: Buffer, media: Buffer, whole: Buffer, pieces: Piece[], pictures: Buffer[] }} Clip
 */

/** @returns {Clip} */
export function cutClip() {
  const folder = mkdtempSync(join(tmpdir(), "turepe-mock-"));
  try {
    const ffmpeg = (/** @type {string[]} */ ...args) =>
      execFileSync("ffmpeg", ["-v", "error", "-y", ...args], { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
    // Without B-frames: ffmpeg starts a stream that has them two frames late, the real recorder does not.
    ffmpeg("-i", DEMO, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-bf", "0", "-g", "50", "-keyint_min", "50",
      "-sc_threshold", "0", "-c:a", "copy", "-t", "24", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0",
      "-hls_segment_type", "fmp4", "-hls_flags", "single_file", "clip.m3u8");
    const pictures = PICTURE_SECONDS.map((second, index) => {
      ffmpeg("-ss", String(second), "-i", DEMO, "-frames:v", "1", "-vf", "scale=480:-2", `${index}.jpg`);
      return readFileSync(join(folder, `${index}.jpg`));
    });
    const lines = readFileSync(join(folder, "clip.m3u8"), "utf8").split("\n");
    const file = readFileSync(join(folder, "clip.m4s"));
    const map = /BYTERANGE="(\d+)@(\d+)"/.exec(lines.find((line) => line.startsWith("#EXT-X-MAP")) ?? "");
    /** @type {Piece[]} */
    const pieces = [];
    let duration = 0;
    for (const line of lines) {
      if (line.startsWith("#EXTINF:")) duration = Number.parseFloat(line.slice(8));
      const range = /^#EXT-X-BYTERANGE:(\d+)@(\d+)/.exec(line);
      if (range !== null) pieces.push({ duration, length: Number(range[1]), start: Number(range[2]) });
    }
    const initLength = Number(map?.[1] ?? 0);
    return { init: file.subarray(0, initLength), media: file, whole: readFileSync(DEMO), pieces, pictures };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
