/** The mark: a ball's path that comes round again, and what one does with it. */
export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      <rect className="logo-ground" width="64" height="64" rx="15" />
      <path className="logo-path" d="M45.6 20.4A17.5 17.5 0 1 0 49.5 32" />
      <path className="logo-tip" d="M48.5 9.5v13h-13z" />
      <path
        className="logo-play"
        d="M27.5 24.6v14.8a1.6 1.6 0 0 0 2.4 1.4l12.4-7.4a1.6 1.6 0 0 0 0-2.8l-12.4-7.4a1.6 1.6 0 0 0-2.4 1.4z"
      />
    </svg>
  );
}
