import { useEffect } from "react";

import type { Controller } from "./controller";
import { focusOf, keyToCommand, type Command } from "./keyboard";

/** The page's keys drive the player, wherever the focus is, unless what has it needs the key itself. */
export function useKeyboard(controller: Controller | null, toggleFullscreen: () => void): void {
  useEffect(() => {
    if (controller === null) return undefined;
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented) return;
      const command = keyToCommand(event, focusOf(document.activeElement), !controller.getSnapshot().isPlaying);
      if (command === null) return;
      event.preventDefault();
      run(controller, command, toggleFullscreen);
    };
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("keydown", onKey);
    };
  }, [controller, toggleFullscreen]);
}

function run(controller: Controller, command: Command, toggleFullscreen: () => void): void {
  switch (command.do) {
    case "togglePlay":
      controller.togglePlay();
      break;
    case "seekBy":
      controller.seekBy(command.seconds);
      break;
    case "seekToShare":
      controller.seekToShare(command.share);
      break;
    case "stepFrame":
      controller.stepFrame(command.frames);
      break;
    case "changeSpeed":
      controller.changeSpeed(command.by);
      break;
    case "toggleMute":
      controller.toggleMute();
      break;
    case "toggleFullscreen":
      toggleFullscreen();
      break;
  }
}
