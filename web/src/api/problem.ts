import type { ProblemCode, ProblemDocument } from "./types";

/**
 * Why an answer did not come. `offline`: nothing was reached at all; `refused`: the server said why, as a problem
 * document; `broken`: something answered that is not our server, or not as agreed (a proxy's error page, say).
 */
export type Problem =
  | { readonly kind: "offline" }
  | {
      readonly kind: "refused";
      readonly code: ProblemCode;
      readonly detail: string;
      readonly offsets: readonly string[];
      /** When to try again, where that is said. */
      readonly retryAt: string | null;
    }
  | { readonly kind: "broken"; readonly status: number };

/** An answer or the reason why there is none. Callers must look; nothing here throws but an abort. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/** Reads a problem document out of whatever came as an error body. */
export function problemFrom(body: unknown, status: number): Problem {
  if (isProblemDocument(body)) {
    return { kind: "refused", code: body.code, detail: body.detail, offsets: body.offsets ?? [], retryAt: body.retryAt ?? null };
  }
  return { kind: "broken", status };
}

function isProblemDocument(body: unknown): body is ProblemDocument {
  return (
    typeof body === "object" &&
    body !== null &&
    "code" in body &&
    typeof body.code === "string" &&
    "detail" in body &&
    typeof body.detail === "string"
  );
}
