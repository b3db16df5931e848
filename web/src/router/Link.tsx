import type { AnchorHTMLAttributes, MouseEvent } from "react";

import { navigate } from "./navigation";

interface LinkProps extends AnchorHTMLAttributes<HTMLAnchorElement> {
  readonly href: string;
  readonly replace?: boolean;
}

/** A real link that stays inside the page on a plain click; new tab, copy and middle click work as everywhere. */
export function Link({ href, replace = false, onClick, ...rest }: LinkProps) {
  const follow = (event: MouseEvent<HTMLAnchorElement>): void => {
    onClick?.(event);
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !isPlain) return;
    event.preventDefault();
    navigate(href, replace ? "replace" : "push");
  };
  return <a href={href} onClick={follow} {...rest} />;
}
