import { useSyncExternalStore } from "react";

/** Told when this page changes its own address: the browser only tells of the back and forward buttons. */
const NAVIGATED = "turepe:navigated";

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  window.addEventListener(NAVIGATED, listener);
  return () => {
    window.removeEventListener("popstate", listener);
    window.removeEventListener(NAVIGATED, listener);
  };
}

function address(): string {
  return window.location.pathname + window.location.search;
}

/** Path and query of the page shown; a component that reads it renders again when it changes. */
export function useAddress(): string {
  return useSyncExternalStore(subscribe, address);
}

export function navigate(href: string, how: "push" | "replace" = "push"): void {
  if (how === "push") {
    window.history.pushState(null, "", href);
    window.scrollTo(0, 0);
  } else {
    window.history.replaceState(null, "", href);
  }
  window.dispatchEvent(new Event(NAVIGATED));
}
