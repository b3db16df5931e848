import { useEffect, useState, type RefObject } from "react";

/** Whether nobody has moved, touched or typed for a while; only watched while `isWatched`. */
export function useIdle(container: RefObject<HTMLElement | null>, isWatched: boolean, afterMs: number): boolean {
  const [isIdle, setIsIdle] = useState(false);

  useEffect(() => {
    const element = container.current;
    if (!isWatched || element === null) return undefined;
    let timer: number | undefined;
    const wake = (): void => {
      setIsIdle(false);
      window.clearTimeout(timer);
      timer = window.setTimeout(() => {
        setIsIdle(true);
      }, afterMs);
    };
    timer = window.setTimeout(wake, 0);
    const types = ["pointermove", "pointerdown", "keydown", "focusin"] as const;
    for (const type of types) element.addEventListener(type, wake);
    return () => {
      window.clearTimeout(timer);
      for (const type of types) element.removeEventListener(type, wake);
    };
  }, [container, isWatched, afterMs]);

  return isIdle && isWatched;
}
