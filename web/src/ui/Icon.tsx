/** Our own few icons, drawn on 24×24. `currentColor`; the button around them carries the label. */
const PATHS = {
  play: <path d="M8 5.6v12.8a.9.9 0 0 0 1.37.77l10.4-6.4a.9.9 0 0 0 0-1.54l-10.4-6.4A.9.9 0 0 0 8 5.6z" fill="currentColor" stroke="none" />,
  pause: (
    <g fill="currentColor" stroke="none">
      <rect x="6.5" y="5" width="4" height="14" rx="1.2" />
      <rect x="13.5" y="5" width="4" height="14" rx="1.2" />
    </g>
  ),
  replay: <path d="M4.5 12a7.5 7.5 0 1 0 2.4-5.5M4.5 4v4.5H9" />,
  back: <path d="M4.5 12a7.5 7.5 0 1 0 2.4-5.5M4.5 4v4.5H9" />,
  forward: <path d="M19.5 12a7.5 7.5 0 1 1-2.4-5.5M19.5 4v4.5H15" />,
  sound: <path d="M4 9.5v5h3.2L12 18.6V5.4L7.2 9.5H4zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11" />,
  muted: <path d="M4 9.5v5h3.2L12 18.6V5.4L7.2 9.5H4zM16 9.5l5 5M21 9.5l-5 5" />,
  expand: <path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5" />,
  shrink: <path d="M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5" />,
  download: <path d="M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 19.5h14" />,
  share: <path d="M10 14a4 4 0 0 0 5.7.3l3-3A4 4 0 1 0 13 5.6l-1.2 1.2M14 10a4 4 0 0 0-5.7-.3l-3 3A4 4 0 1 0 11 18.4l1.2-1.2" />,
  chevronLeft: <path d="M14.5 5.5 8 12l6.5 6.5" />,
  chevronRight: <path d="M9.5 5.5 16 12l-6.5 6.5" />,
  calendar: <path d="M5 6.5h14a1 1 0 0 1 1 1V19a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7.5a1 1 0 0 1 1-1zM4 10.5h16M8 4v4M16 4v4" />,
  close: <path d="m6 6 12 12M18 6 6 18" />,
  clock: <path d="M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 7.5V12l3 2" />,
  offline: <path d="m4 4 16 16M8.5 15.5a5 5 0 0 1 5.8-.9M5.5 12.5a9 9 0 0 1 4-2.3M2.8 9.3a13 13 0 0 1 4-2.5M18.5 12.5a9 9 0 0 0-3.4-2.1M21.2 9.3a13 13 0 0 0-10.4-3.7M12 19h.01" />,
  noVideo: <path d="m4 4 16 16M8 6h6a1 1 0 0 1 1 1v2.5l5-3v11M15.5 17a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1" />,
  question: <path d="M9.3 9.2a2.8 2.8 0 1 1 4 2.9c-.9.5-1.3 1-1.3 2M12 17.3h.01M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17z" />,
  lock: <path d="M7 11V8.2a5 5 0 0 1 10 0V11M6 11h12a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1zM12 14.5v2" />,
  check: <path d="m5 12.5 4.5 4.5L19 7.5" />,
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg
      className="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.9"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {PATHS[name]}
    </svg>
  );
}
