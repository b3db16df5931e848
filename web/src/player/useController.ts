import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

import { Controller } from "./controller";
import { createEngine, createFileEngine } from "./engine";
import type { Match } from "./match";
import { firstSnapshot, type Snapshot } from "./snapshot";

interface Options {
  readonly match: Match;
  readonly beginMs?: number | undefined;
  readonly renew: () => Promise<Match | "gone" | null>;
}

interface Running {
  readonly controller: Controller | null;
  readonly snapshot: Snapshot;
  /** For the video element. */
  readonly attach: (video: HTMLVideoElement) => () => void;
}

/** One controller for the life of a video element; the match it began with names it (give the player a `key`). */
export function useController({ match, beginMs, renew }: Options): Running {
  const [controller, setController] = useState<Controller | null>(null);
  const [idle] = useState(() => firstSnapshot(beginMs ?? match.startMs));

  const attach = useCallback(
    (video: HTMLVideoElement) => {
      const created = new Controller({ video, match, beginMs, createEngine, createFileEngine, renew });
      setController(created);
      return () => {
        created.destroy();
        setController(null);
      };
    },
    // Later versions of the match reach the controller by `update`; the element must not be attached anew for them.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [],
  );

  useEffect(() => {
    controller?.update(match);
  }, [controller, match]);

  const subscribe = useCallback(
    (listener: () => void) => controller?.subscribe(listener) ?? (() => undefined),
    [controller],
  );
  const snapshot = useSyncExternalStore(subscribe, () => controller?.getSnapshot() ?? idle);
  return { controller, snapshot, attach };
}
