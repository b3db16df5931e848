/**
 * Functions that run inside the page. Each is sent there as text: it may use nothing from outside itself but what
 * `installReader` has put on `window`.
 */

declare global {
  interface Window {
    /** The number burnt into the picture that a video shows. */
    readFrame: (video: HTMLVideoElement) => number;
    /** The first picture the player showed. */
    firstShown: { readonly frame: number } | null;
    violations: string[];
  }
}

/** Before any script of the page: reads frame numbers, remembers the first frame shown, collects policy violations. */
export function installReader(): void {
  window.violations = [];
  window.firstShown = null;
  document.addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
  });
  const canvas = document.createElement("canvas");
  canvas.width = 1280;
  canvas.height = 720;
  window.readFrame = (video) => {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (context === null) throw new Error("no canvas");
    context.drawImage(video, 0, 0, 1280, 720);
    let frame = 0;
    for (let bit = 0; bit < 16; bit += 1) {
      const [red = 0] = context.getImageData(32 + 32 * bit + 16, 48, 1, 1).data;
      frame = frame * 2 + (red > 127 ? 1 : 0);
    }
    return frame;
  };
  const seen = new WeakSet<Element>();
  // Chromium decodes and presents the keyframe before a start in mid-fragment; the player keeps it covered until then.
  new MutationObserver(() => {
    const player = document.querySelector(".player[data-phase=ready]");
    const video = player?.querySelector("video");
    if (player === null || !video || seen.has(video)) return;
    seen.add(video);
    window.firstShown = { frame: window.readFrame(video) };
  }).observe(document, { attributeFilter: ["data-phase"], attributes: true, childList: true, subtree: true });
}

export interface Landed {
  readonly tookMs: number;
  readonly frame: number;
  /** What the player says: seconds since the match's start. */
  readonly saidS: number;
}

/** Presses a key and waits until the picture of where it leads is on the screen. */
export async function seekByKey(key: string): Promise<Landed> {
  const video = document.querySelector<HTMLVideoElement>(".player video");
  const slider = document.querySelector(".player [role=slider]");
  if (video === null || slider === null) throw new Error("no player");
  const pressedAt = performance.now();
  const shown = new Promise<void>((resolve, reject) => {
    let shownTime: number | null = null;
    let isOver = false;
    const check = (): void => {
      if (isOver || shownTime === null || video.seeking) return;
      if (shownTime > video.currentTime + 0.001 || video.currentTime - shownTime > 0.25) return;
      isOver = true;
      resolve();
    };
    // The frame may be presented before the browser says that the seek is done, or after.
    const look = (): void => {
      video.requestVideoFrameCallback((_, { mediaTime }) => {
        shownTime = mediaTime;
        check();
        if (!isOver) look();
      });
    };
    look();
    video.addEventListener("seeked", check);
    setTimeout(() => {
      reject(new Error(`no picture for ${key} at ${video.currentTime} s, last shown ${shownTime ?? "none"}`));
    }, 10_000);
  });
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  await shown;
  const tookMs = performance.now() - pressedAt;
  // The page shows the new position with its next rendering.
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  return { tookMs, frame: window.readFrame(video), saidS: Number(slider.getAttribute("aria-valuenow")) };
}

/** The frame number of a plain MP4 file at a time in it. */
export async function frameInFile({ url, atS }: { url: string; atS: number }): Promise<number> {
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  // What lies in a bucket may only be looked at with its permission.
  video.crossOrigin = "anonymous";
  // A frame is only presented where it could be seen.
  video.width = 64;
  document.body.append(video);
  try {
    await new Promise((resolve, reject) => {
      const shown = (): void => {
        video.requestVideoFrameCallback((_, { mediaTime }) => {
          if (Math.abs(mediaTime - atS) < 0.25) resolve(undefined);
          else shown();
        });
      };
      shown();
      video.addEventListener("error", () => {
        reject(new Error(`the file cannot be played: ${video.error?.message ?? ""}`));
      });
      video.src = url;
      video.currentTime = atS;
    });
    return window.readFrame(video);
  } finally {
    video.removeAttribute("src");
    video.load();
    video.remove();
  }
}
