/**
 * What to do when the video breaks. Pure: facts in, one action out; the controller acts. hls.js has tried again by
 * itself before it calls anything fatal.
 */

export type Trouble =
  /** The address is no longer good (401, 403, 404, 410): ask for a new one. */
  | "expired"
  /** Nothing came. */
  | "network"
  /** The node answers, and what it sends to for the footage does not: a bucket that this network or browser keeps away. */
  | "unreached"
  /** It came and could not be decoded. */
  | "media"
  /** It came, and nothing of it is a place where this browser starts a stream. */
  | "unstartable"
  /** hls.js has no idea either. */
  | "other";

/** `gone`: refused for good, whatever the network does. */
export type Failure = "network" | "gone" | "playback" | "unsupported";

export type Action =
  | { readonly do: "retry"; readonly afterMs: number }
  | { readonly do: "waitForNetwork" }
  | { readonly do: "recoverMedia" }
  /** New addresses from the API, then on from where it stopped. */
  | { readonly do: "renew"; readonly afterMs: number }
  /** The same playlist with all footage from the node, on from where it stopped. */
  | { readonly do: "detour" }
  /** The match as a file, on from where it stopped. */
  | { readonly do: "playFile" }
  /** Back from the detour: it was not the bucket. */
  | { readonly do: "return"; readonly afterMs: number }
  | { readonly do: "giveUp"; readonly failure: Failure };

/** Attempts since something last played. */
export interface Attempts {
  readonly network: number;
  readonly media: number;
  readonly renewals: number;
}

/** How things stand beside the trouble. */
export interface Facts {
  readonly isOnline: boolean;
  /** Whether all footage comes from the node already. */
  readonly isDetour: boolean;
  /** Whether the match can be had as a file. */
  readonly hasFile: boolean;
  /** Whether it is played from a file already. */
  readonly isFile: boolean;
}

export const NO_ATTEMPTS: Attempts = { network: 0, media: 0, renewals: 0 };

export const MAX_NETWORK_ATTEMPTS = 6;
export const MAX_RENEWALS = 3;
/** A bucket that did not answer is asked this often again before the node is asked in its place. */
const BUCKET_RETRIES = 1;
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 8_000;

export function recover(
  attempts: Attempts,
  trouble: Trouble,
  { isOnline, isDetour, hasFile, isFile }: Facts,
): { readonly action: Action; readonly attempts: Attempts } {
  if (!isOnline) return { action: { do: "waitForNetwork" }, attempts };
  switch (trouble) {
    case "network":
    case "unreached": {
      if (attempts.network >= MAX_NETWORK_ATTEMPTS) return giveUp("network", attempts);
      const afterMs = delay(attempts.network);
      const counted = { ...attempts, network: attempts.network + 1 };
      const isBucket = trouble === "unreached";
      if (isBucket && !isDetour && attempts.network >= BUCKET_RETRIES) return { action: { do: "detour" }, attempts: counted };
      // The node does not answer either: the network is away, and the bucket may be well.
      if (!isBucket && isDetour) return { action: { do: "return", afterMs }, attempts: counted };
      return { action: { do: "retry", afterMs }, attempts: counted };
    }
    case "media":
      if (attempts.media === 0) return { action: { do: "recoverMedia" }, attempts: { ...attempts, media: 1 } };
      // The playlist could not be started, and the file cannot be decoded: this browser has no other way.
      return isFile ? giveUp("unsupported", attempts) : renew(attempts, "playback");
    case "unstartable":
      return hasFile && !isFile ? { action: { do: "playFile" }, attempts } : giveUp("playback", attempts);
    case "expired":
      // Browsers that play by themselves say no more of a bucket that they cannot reach.
      if (attempts.renewals >= MAX_RENEWALS && !isDetour) return { action: { do: "detour" }, attempts };
      return renew(attempts, "gone");
    case "other":
      return renew(attempts, "playback");
  }
}

function renew(attempts: Attempts, failure: Failure): { action: Action; attempts: Attempts } {
  if (attempts.renewals >= MAX_RENEWALS) return giveUp(failure, attempts);
  const afterMs = attempts.renewals === 0 ? 0 : delay(attempts.renewals - 1);
  return { action: { do: "renew", afterMs }, attempts: { ...attempts, renewals: attempts.renewals + 1 } };
}

function giveUp(failure: Failure, attempts: Attempts): { action: Action; attempts: Attempts } {
  return { action: { do: "giveUp", failure }, attempts };
}

function delay(attempt: number): number {
  return Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
}
