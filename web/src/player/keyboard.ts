/** Keys to commands. Pure: the listener stands in `useKeyboard.ts`. */

export type Command =
  | { readonly do: "togglePlay" }
  | { readonly do: "seekBy"; readonly seconds: number }
  | { readonly do: "seekToShare"; readonly share: number }
  | { readonly do: "stepFrame"; readonly frames: 1 | -1 }
  | { readonly do: "changeSpeed"; readonly by: 1 | -1 }
  | { readonly do: "toggleFullscreen" }
  | { readonly do: "toggleMute" };

export interface Key {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
}

/** What has the focus: a text field takes all keys, a choice or volume the arrows, a button or link space and enter. */
export type Focus = "text" | "choice" | "button" | "other";

export const SHORT_STEP_S = 5;
export const LONG_STEP_S = 30;

export function keyToCommand({ key, ctrlKey, metaKey, altKey }: Key, focus: Focus, isPaused: boolean): Command | null {
  if (ctrlKey || metaKey || altKey || focus === "text") return null;
  const isArrowOrSpace = key.startsWith("Arrow") || key === " " || key === "Home" || key === "End";
  if (focus === "choice" && isArrowOrSpace) return null;
  if (focus === "button" && key === " ") return null;
  if (/^[0-9]$/.test(key)) return { do: "seekToShare", share: Number(key) / 10 };
  switch (key) {
    case " ":
    case "k":
    case "K":
      return { do: "togglePlay" };
    case "ArrowLeft":
      return { do: "seekBy", seconds: -SHORT_STEP_S };
    case "ArrowRight":
      return { do: "seekBy", seconds: SHORT_STEP_S };
    case "j":
    case "J":
      return { do: "seekBy", seconds: -LONG_STEP_S };
    case "l":
    case "L":
      return { do: "seekBy", seconds: LONG_STEP_S };
    case "Home":
      return { do: "seekToShare", share: 0 };
    case "End":
      return { do: "seekToShare", share: 1 };
    case "f":
    case "F":
      return { do: "toggleFullscreen" };
    case "m":
    case "M":
      return { do: "toggleMute" };
    case "<":
      return { do: "changeSpeed", by: -1 };
    case ">":
      return { do: "changeSpeed", by: 1 };
    case ",":
      return isPaused ? { do: "stepFrame", frames: -1 } : null;
    case ".":
      return isPaused ? { do: "stepFrame", frames: 1 } : null;
    default:
      return null;
  }
}

export function focusOf(element: Element | null): Focus {
  if (element instanceof HTMLInputElement) {
    return element.type === "radio" || element.type === "range" ? "choice" : "text";
  }
  if (element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement) return "text";
  if (element instanceof HTMLElement && element.isContentEditable) return "text";
  if (element instanceof HTMLButtonElement || element instanceof HTMLAnchorElement) return "button";
  return "other";
}
