import { useCallback, useEffect, useState } from "react";

import type { Outcome, Problem } from "./problem";

/** What a page knows about an answer it asked for. Stale data stays visible while it is asked again. */
export type Resource<T> =
  | { readonly status: "loading" }
  | { readonly status: "ready"; readonly value: T }
  | { readonly status: "failed"; readonly problem: Problem };

/** Answers kept so that going back shows the last page at once. Oldest out first. */
const MAX_REMEMBERED = 40;
const remembered = new Map<string, unknown>();

function remember(key: string, value: unknown): void {
  remembered.delete(key);
  remembered.set(key, value);
  for (const oldest of remembered.keys()) {
    if (remembered.size <= MAX_REMEMBERED) break;
    remembered.delete(oldest);
  }
}

/** Forgets all answers: what is shown has changed, or a test begins. */
export function forgetAnswers(): void {
  remembered.clear();
}

interface State<T> {
  readonly key: string;
  readonly resource: Resource<T>;
}

function initial<T>(key: string): State<T> {
  const value = remembered.get(key) as T | undefined;
  return { key, resource: value === undefined ? { status: "loading" } : { status: "ready", value } };
}

function settled<T>(before: State<T>, outcome: Outcome<T>): State<T> {
  if (outcome.ok) return { key: before.key, resource: { status: "ready", value: outcome.value } };
  const isStillGood = before.resource.status === "ready" && outcome.problem.kind !== "refused";
  return isStillGood ? before : { key: before.key, resource: { status: "failed", problem: outcome.problem } };
}

/** How soon to ask again after an answer did not come, where answers are refreshed at all. */
const AFTER_FAILURE_MS = 10_000;

/**
 * Asks for something once per `key`, again on `reload()`, `refreshAfterMs` after each answer (while the page is
 * visible), and when the network comes back. A failed refresh does not take away what is already shown.
 *
 * `key` must name everything that `load` depends on; `null` asks nothing.
 */
export function useResource<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<Outcome<T>>,
  refreshAfterMs?: (value: T) => number | null,
): Resource<T> & { readonly reload: () => void } {
  const [state, setState] = useState<State<T>>(() => initial(key ?? ""));
  const [attempt, setAttempt] = useState(0);
  const current = state.key === (key ?? "") ? state : initial<T>(key ?? "");

  useEffect(() => {
    if (key === null) return undefined;
    const abort = new AbortController();
    let timer: number | undefined;
    const ask = async (): Promise<void> => {
      window.clearTimeout(timer);
      try {
        const outcome = await load(abort.signal);
        if (abort.signal.aborted) return;
        setState((before) => settled(before.key === key ? before : initial<T>(key), outcome));
        if (outcome.ok) remember(key, outcome.value);
        const afterMs = outcome.ok ? refreshAfterMs?.(outcome.value) : refreshAfterMs && AFTER_FAILURE_MS;
        if (typeof afterMs === "number") timer = window.setTimeout(again, afterMs);
      } catch (error) {
        if (!abort.signal.aborted) throw error;
      }
    };
    const again = (): void => {
      if (document.visibilityState === "visible") void ask();
    };
    void ask();
    window.addEventListener("online", again);
    document.addEventListener("visibilitychange", again);
    return () => {
      abort.abort();
      window.clearTimeout(timer);
      window.removeEventListener("online", again);
      document.removeEventListener("visibilitychange", again);
    };
    // `load` and `refreshAfterMs` are new closures at each render; `key` names what they close over.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key, attempt]);

  const reload = useCallback(() => {
    setState((before) =>
      before.resource.status === "failed" ? { key: before.key, resource: { status: "loading" } } : before,
    );
    setAttempt((count) => count + 1);
  }, []);

  return { ...current.resource, reload };
}
