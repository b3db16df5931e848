import type { Trouble } from "./recovery";

/** What a video element that plays an address by itself says of its failure; `null` while there is none. */
export function elementTrouble(video: HTMLVideoElement): Trouble | null {
  switch (video.error?.code) {
    case MediaError.MEDIA_ERR_NETWORK:
      // The playlist has been read: it is the footage that does not come.
      return "unreached";
    case MediaError.MEDIA_ERR_DECODE:
      return "media";
    case MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED:
      return "expired";
    default:
      return null;
  }
}
