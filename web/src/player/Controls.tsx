import { useId } from "react";

import { useI18n } from "../i18n/context";
import { Icon } from "../ui/Icon";
import type { Controller } from "./controller";
import { LONG_STEP_S, SHORT_STEP_S } from "./keyboard";
import type { Snapshot } from "./snapshot";
import { SPEEDS } from "./speed";

interface ControlsProps {
  readonly snapshot: Snapshot;
  readonly controller: Controller | null;
  readonly isFullscreen: boolean;
  readonly onFullscreen: () => void;
}

export function Controls({ snapshot, controller, isFullscreen, onFullscreen }: ControlsProps) {
  const { t } = useI18n();
  const screen = isFullscreen ? t.player.exitFullscreen : t.player.fullscreen;
  return (
    <div className="controls">
      <div className="controls-transport">
        <Step controller={controller} seconds={-LONG_STEP_S} />
        <Step controller={controller} seconds={-SHORT_STEP_S} />
        <PlayButton snapshot={snapshot} controller={controller} />
        <Step controller={controller} seconds={SHORT_STEP_S} />
        <Step controller={controller} seconds={LONG_STEP_S} />
      </div>
      <Sound snapshot={snapshot} controller={controller} />
      <Speed snapshot={snapshot} controller={controller} />
      <button type="button" className="control control-fullscreen" onClick={onFullscreen} aria-label={screen} title={screen}>
        <Icon name={isFullscreen ? "shrink" : "expand"} />
      </button>
    </div>
  );
}

function PlayButton({ snapshot, controller }: Pick<ControlsProps, "snapshot" | "controller">) {
  const { t } = useI18n();
  const [name, label] =
    snapshot.phase === "ended"
      ? (["replay", t.player.replay] as const)
      : snapshot.isPlaying
        ? (["pause", t.player.pause] as const)
        : (["play", t.player.play] as const);
  return (
    <button type="button" className="control control-play" onClick={() => controller?.togglePlay()} aria-label={label} title={label}>
      <Icon name={name} />
    </button>
  );
}

function Step({ controller, seconds }: { readonly controller: Controller | null; readonly seconds: number }) {
  const { t } = useI18n();
  const label = seconds < 0 ? t.player.back(-seconds) : t.player.forward(seconds);
  return (
    <button
      type="button"
      className="control control-step"
      onClick={() => controller?.seekBy(seconds)}
      aria-label={label}
      title={label}
    >
      <Icon name={seconds < 0 ? "back" : "forward"} />
      <span aria-hidden="true">{Math.abs(seconds)}</span>
    </button>
  );
}

function Sound({ snapshot, controller }: Pick<ControlsProps, "snapshot" | "controller">) {
  const { t } = useI18n();
  const isSilent = snapshot.isMuted || snapshot.volume === 0;
  const label = isSilent ? t.player.unmute : t.player.mute;
  return (
    <div className="controls-sound">
      <button type="button" className="control" onClick={() => controller?.toggleMute()} aria-label={label} title={label}>
        <Icon name={isSilent ? "muted" : "sound"} />
      </button>
      <input
        type="range"
        className="controls-volume"
        min={0}
        max={1}
        step={0.05}
        value={isSilent ? 0 : snapshot.volume}
        aria-label={t.player.volume}
        onChange={(event) => controller?.setVolume(event.currentTarget.valueAsNumber)}
      />
    </div>
  );
}

function Speed({ snapshot, controller }: Pick<ControlsProps, "snapshot" | "controller">) {
  const { t, intl } = useI18n();
  const name = useId();
  return (
    <fieldset className="controls-speed">
      <legend className="visually-hidden">{t.player.speed}</legend>
      {SPEEDS.map((speed) => (
        <label key={speed} className="speed">
          <input
            type="radio"
            name={name}
            value={speed}
            checked={snapshot.speed === speed}
            onChange={() => controller?.setSpeed(speed)}
          />
          <span>{new Intl.NumberFormat(intl).format(speed)}×</span>
        </label>
      ))}
    </fieldset>
  );
}
