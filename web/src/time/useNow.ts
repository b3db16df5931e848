import { useSyncExternalStore } from "react";

/** How often the pages look at the clock: what is "today", which match has begun. */
const TICK_MS = 15_000;

let now = Date.now();
const listeners = new Set<() => void>();
let timer: number | undefined;

function tick(): void {
  now = Date.now();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    now = Date.now();
    timer = window.setInterval(tick, TICK_MS);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) window.clearInterval(timer);
  };
}

/** The present instant, to within the tick; a page that shows it renders again as time goes on. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}
