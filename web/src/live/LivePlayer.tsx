import { useCallback, useEffect, useRef, useState } from "react";

import { useI18n } from "../i18n/context";
import { focusOf, keyToCommand } from "../player/keyboard";
import { Icon, type IconName } from "../ui/Icon";
import { LiveBadge } from "../ui/LiveBadge";
import "./live.css";
import type { LiveEngine, LiveState } from "./liveEngine";

const BACK_S = 30;

/** The court as it is now. Nothing is loaded before it is asked for: most who come want a match that was. */
export function LivePlayer({ url }: { readonly url: string | null }) {
  const { t } = useI18n();
  // What is open stays open under the address it was opened with: a signed one changes from time to time.
  const [opened, setOpened] = useState<string | null>(null);
  if (opened !== null) return <LiveScreen url={opened} />;
  if (url === null) return null;
  return (
    <button type="button" className="live-open" onClick={() => { setOpened(url); }}>
      <span className="live-open-icon">
        <Icon name="play" />
      </span>
      <span className="live-open-text">
        <strong>{t.liveView.title}</strong>
        <span>{t.liveView.watch}</span>
      </span>
      <LiveBadge />
    </button>
  );
}

function LiveScreen({ url }: { readonly url: string }) {
  const { t } = useI18n();
  const video = useRef<HTMLVideoElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const engine = useRef<LiveEngine | null>(null);
  const [isPlaying, setPlaying] = useState(false);
  const [isMuted, setMuted] = useState(false);
  const [state, setState] = useState<LiveState>("loading");

  useEffect(() => {
    const element = video.current;
    if (element === null) return undefined;
    let isGone = false;
    void import("./liveEngine").then(({ createLiveEngine }) => {
      if (isGone) return;
      engine.current = createLiveEngine(element, url, setState);
      if (engine.current === null) setState("unsupported");
    });
    return () => {
      isGone = true;
      engine.current?.destroy();
      engine.current = null;
    };
  }, [url]);

  const fullscreen = useCallback((): void => {
    const target = frame.current;
    if (document.fullscreenElement !== null) void document.exitFullscreen();
    else if (target !== null && "requestFullscreen" in target) void target.requestFullscreen();
  }, []);
  const togglePlay = useCallback((): void => {
    const element = video.current;
    if (element === null) return;
    if (element.paused) element.play().catch(() => undefined);
    else element.pause();
  }, []);
  const toggleMute = useCallback((): void => {
    if (video.current !== null) video.current.muted = !video.current.muted;
  }, []);

  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented) return;
      const command = keyToCommand(event, focusOf(document.activeElement), false);
      if (command?.do === "togglePlay") togglePlay();
      else if (command?.do === "toggleMute") toggleMute();
      else if (command?.do === "toggleFullscreen") fullscreen();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("keydown", onKey);
    };
  }, [togglePlay, toggleMute, fullscreen]);

  const said = { loading: t.loading, stalled: t.liveView.stalled, lost: t.liveView.lost, unsupported: t.liveView.unsupported, live: null, behind: null }[state];
  return (
    <section className="live" ref={frame} aria-label={t.liveView.title} data-state={state}>
      {/* Live pictures of a court: nobody speaks, and there is nothing to caption. */}
      <video
        ref={video}
        className="live-video"
        playsInline
        onClick={togglePlay}
        onPlay={() => { setPlaying(true); }}
        onPause={() => { setPlaying(false); }}
        onVolumeChange={(event) => { setMuted(event.currentTarget.muted); }}
      />
      {said !== null && (
        <p className="live-said" role="status">
          {said}
        </p>
      )}
      <div className="live-controls">
        <LiveButton name={isPlaying ? "pause" : "play"} label={isPlaying ? t.player.pause : t.player.play} onClick={togglePlay} />
        <button
          type="button"
          className="control"
          onClick={() => engine.current?.rewind(BACK_S)}
          title={t.player.back(BACK_S)}
        >
          <Icon name="back" />
          <span>{t.liveView.back(BACK_S)}</span>
        </button>
        <button type="button" className="control live-now" onClick={() => engine.current?.goLive()} disabled={state !== "behind"}>
          <span className="dot" aria-hidden="true" />
          <span>{state === "behind" ? t.liveView.goLive : t.liveView.title}</span>
        </button>
        <LiveButton name={isMuted ? "muted" : "sound"} label={isMuted ? t.player.unmute : t.player.mute} onClick={toggleMute} />
        <button type="button" className="control" onClick={fullscreen} aria-label={t.liveView.fullscreen} title={t.liveView.fullscreen}>
          <Icon name="expand" />
        </button>
      </div>
    </section>
  );
}

interface LiveButtonProps {
  readonly name: IconName;
  readonly label: string;
  readonly onClick: () => void;
}

function LiveButton({ name, label, onClick }: LiveButtonProps) {
  return (
    <button type="button" className="control" onClick={onClick} aria-label={label} title={label}>
      <Icon name={name} />
    </button>
  );
}
