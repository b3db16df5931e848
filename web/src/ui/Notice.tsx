import type { ReactNode } from "react";

import { Icon, type IconName } from "./Icon";

interface NoticeProps {
  readonly icon: IconName;
  readonly title: string;
  readonly help?: string;
  readonly isPage?: boolean;
  readonly children?: ReactNode;
}

/** Says what is the matter and what to do about it. As a page of its own it carries the page's heading. */
export function Notice({ icon, title, help, isPage = true, children }: NoticeProps) {
  const Title = isPage ? "h1" : "h2";
  return (
    <section className="notice" data-page={isPage}>
      <span className="notice-icon">
        <Icon name={icon} />
      </span>
      <Title>{title}</Title>
      {help !== undefined && <p>{help}</p>}
      {children !== undefined && <div className="notice-actions">{children}</div>}
    </section>
  );
}
