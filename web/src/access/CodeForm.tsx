import { useState, type SubmitEvent } from "react";

import { openAccess, type MatchPath } from "../api/client";
import type { Problem } from "../api/problem";
import { forgetAnswers } from "../api/useResource";
import { useI18n } from "../i18n/context";
import type { Messages } from "../i18n/es";

/** Characters of a code, without what people put between them. */
const CODE_CHARS = 6;

interface CodeFormProps {
  readonly path: MatchPath;
  readonly onOpened: () => void;
}

/** Where the code of a match is typed. One field, so that it can be pasted; what is between its characters does not matter. */
export function CodeForm({ path, onOpened }: CodeFormProps) {
  const { t, intl } = useI18n();
  const [code, setCode] = useState("");
  const [isAsking, setAsking] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const isWhole = code.replace(/[^a-z0-9]/gi, "").length === CODE_CHARS;

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (isAsking || !isWhole) return;
    setAsking(true);
    setProblem(null);
    const { club, court, date, time, offset } = path;
    const outcome = await openAccess(club, { code, court, date, time, ...(offset === undefined ? {} : { offset }) });
    setAsking(false);
    if (!outcome.ok) {
      setProblem(outcome.problem);
      return;
    }
    forgetAnswers();
    onOpened();
  };

  return (
    <form className="code-form" onSubmit={(event) => void submit(event)}>
      <label htmlFor="code">{t.access.code}</label>
      <input
        id="code"
        className="code-input"
        value={code}
        onChange={(event) => {
          setCode(event.currentTarget.value.toUpperCase());
          setProblem(null);
        }}
        placeholder="···-···"
        autoComplete="off"
        autoCapitalize="characters"
        autoCorrect="off"
        spellCheck={false}
        enterKeyHint="go"
        maxLength={12}
        aria-describedby="code-said"
        aria-invalid={problem !== null}
      />
      <p id="code-said" className="code-said" role="alert">
        {problem === null ? null : said(problem, t, intl)}
      </p>
      <button type="submit" className="button button-primary" disabled={!isWhole || isAsking}>
        {isAsking ? t.loading : t.access.open}
      </button>
    </form>
  );
}

function said(problem: Problem, t: Messages, intl: string): string {
  if (problem.kind === "offline") return t.problems.offlineHelp;
  if (problem.kind === "broken") return t.problems.serverHelp;
  switch (problem.code) {
    case "code_wrong":
      return t.access.wrong;
    case "too_many_attempts": {
      const at = problem.retryAt === null ? null : new Date(problem.retryAt);
      return t.access.tooMany(at?.toLocaleTimeString(intl, { hour: "2-digit", minute: "2-digit" }) ?? null);
    }
    case "access_expired":
      return t.access.codeExpired;
    case "link_required":
      return t.access.linkNeededHelp;
    case "busy":
    case "timeout":
      return t.problems.busyHelp;
    default:
      return t.problems.serverHelp;
  }
}
