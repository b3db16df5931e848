import type { Gap } from "./gaps";
import type { Failure } from "./recovery";

/** Everything the player's face shows, at one instant. */
export interface Snapshot {
  /** `preparing`: nothing to see yet. `ended`: stopped at the end of the match. */
  readonly phase: "preparing" | "ready" | "ended" | "failed";
  readonly isPlaying: boolean;
  /** Waiting for pictures while it should be playing or seeking. */
  readonly isWaiting: boolean;
  readonly isReconnecting: boolean;
  /** The browser wants a tap before it plays with sound. */
  readonly needsTap: boolean;
  /** Wall time of the picture shown. */
  readonly wallMs: number;
  /** Latest wall time there is a picture of. */
  readonly edgeMs: number | null;
  readonly isAtLiveEdge: boolean;
  readonly buffered: readonly (readonly [number, number])[];
  readonly speed: number;
  readonly volume: number;
  readonly isMuted: boolean;
  /** A gap that was just jumped over. */
  readonly toldGap: Gap | null;
  readonly failure: Failure | "unsupported" | null;
}

export function firstSnapshot(wallMs: number): Snapshot {
  return {
    phase: "preparing",
    isPlaying: false,
    isWaiting: true,
    isReconnecting: false,
    needsTap: false,
    wallMs,
    edgeMs: null,
    isAtLiveEdge: false,
    buffered: [],
    speed: 1,
    volume: 1,
    isMuted: false,
    toldGap: null,
    failure: null,
  };
}
