import { useCallback, useEffect, useState, type RefObject } from "react";

/** iPhones give full screen to a video only, by a call of their own. */
interface AppleVideo extends HTMLVideoElement {
  readonly webkitEnterFullscreen?: () => void;
}

interface Fullscreen {
  readonly isFullscreen: boolean;
  readonly toggle: () => void;
}

export function useFullscreen(container: RefObject<HTMLElement | null>): Fullscreen {
  const [isFullscreen, setIsFullscreen] = useState(false);

  useEffect(() => {
    const onChange = (): void => {
      setIsFullscreen(document.fullscreenElement !== null);
    };
    document.addEventListener("fullscreenchange", onChange);
    return () => {
      document.removeEventListener("fullscreenchange", onChange);
    };
  }, []);

  const toggle = useCallback(() => {
    const element = container.current;
    if (element === null) return;
    if (document.fullscreenElement !== null) {
      void document.exitFullscreen();
    } else if (document.fullscreenEnabled) {
      // A refusal (no gesture, a policy) leaves things as they are.
      element.requestFullscreen({ navigationUI: "hide" }).catch(() => undefined);
    } else {
      element.querySelector<AppleVideo>("video")?.webkitEnterFullscreen?.();
    }
  }, [container]);

  return { isFullscreen, toggle };
}
