import { describe, expect, it } from "vitest";

import { keyToCommand, type Command, type Focus } from "./keyboard";

const press = (key: string, focus: Focus = "other", isPaused = false, modifiers = {}): Command | null =>
  keyToCommand({ key, ctrlKey: false, metaKey: false, altKey: false, ...modifiers }, focus, isPaused);

describe("keys", () => {
  it.each<[string, Command]>([
    [" ", { do: "togglePlay" }],
    ["k", { do: "togglePlay" }],
    ["ArrowLeft", { do: "seekBy", seconds: -5 }],
    ["ArrowRight", { do: "seekBy", seconds: 5 }],
    ["j", { do: "seekBy", seconds: -30 }],
    ["l", { do: "seekBy", seconds: 30 }],
    ["0", { do: "seekToShare", share: 0 }],
    ["7", { do: "seekToShare", share: 0.7 }],
    ["f", { do: "toggleFullscreen" }],
    ["m", { do: "toggleMute" }],
    ["<", { do: "changeSpeed", by: -1 }],
    [">", { do: "changeSpeed", by: 1 }],
  ])("%s", (key, command) => {
    expect(press(key)).toEqual(command);
  });

  it("step frames only while paused", () => {
    expect(press(".")).toBeNull();
    expect(press(".", "other", true)).toEqual({ do: "stepFrame", frames: 1 });
    expect(press(",", "other", true)).toEqual({ do: "stepFrame", frames: -1 });
  });

  it("are left to what has the focus and needs them", () => {
    expect(press("k", "text")).toBeNull();
    expect(press(" ", "button")).toBeNull();
    expect(press("k", "button")).toEqual({ do: "togglePlay" });
    expect(press("ArrowLeft", "choice")).toBeNull();
    expect(press("ArrowLeft", "button")).toEqual({ do: "seekBy", seconds: -5 });
  });

  it("are left to the browser with a modifier", () => {
    expect(press("f", "other", false, { ctrlKey: true })).toBeNull();
    expect(press("ArrowLeft", "other", false, { altKey: true })).toBeNull();
    expect(press("l", "other", false, { metaKey: true })).toBeNull();
  });
});
