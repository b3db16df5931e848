/** A court seen from above: what stands where there is no picture. */
export function CourtArt() {
  return (
    <svg className="court-art" viewBox="0 0 320 180" preserveAspectRatio="xMidYMid slice" aria-hidden="true" focusable="false">
      <rect className="court-art-ground" width="320" height="180" />
      <rect className="court-art-floor" x="40" y="30" width="240" height="120" />
      <path className="court-art-lines" d="M40 30h240v120H40zM88 30v120M232 30v120M88 90h144" />
      <path className="court-art-net" d="M160 22v136" />
      <circle className="court-art-ball" cx="203" cy="66" r="5" />
    </svg>
  );
}
