import { useEffect, useRef, type ReactNode } from "react";

import { useI18n } from "../i18n/context";
import { Link } from "../router/Link";
import { useAddress } from "../router/navigation";
import { Icon } from "./Icon";
import { Logo } from "./Logo";

/** The frame around every page. */
export function Layout({ children }: { readonly children: ReactNode }) {
  const { t, locale, setLocale } = useI18n();
  const main = useFocusOnNavigation();
  const other = locale === "es" ? "en" : "es";
  return (
    <>
      <a className="skip" href="#main">
        {t.skipToContent}
      </a>
      <header className="topbar">
        <Link href="/" className="brand" aria-label={`${t.appName}: ${t.home}`}>
          <Logo />
          <span>{t.appName}</span>
        </Link>
        <button
          type="button"
          className="language"
          lang={other}
          title={t.switchLanguage.title}
          aria-label={`${t.switchLanguage.label}: ${t.switchLanguage.title}`}
          onClick={() => {
            setLocale(other);
          }}
        >
          {t.switchLanguage.label}
        </button>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** Whoever listens to the page hears of a new one as those who see it do. Not of the first: the browser tells it. */
function useFocusOnNavigation() {
  const address = useAddress();
  const main = useRef<HTMLElement>(null);
  const last = useRef(address);
  useEffect(() => {
    if (last.current === address) return;
    last.current = address;
    main.current?.focus({ preventScroll: true });
  }, [address]);
  return main;
}

interface HeadingProps {
  readonly title: ReactNode;
  readonly back?: { readonly href: string; readonly label: string };
  readonly children?: ReactNode;
}

export function Heading({ title, back, children }: HeadingProps) {
  return (
    <div className="heading">
      {back !== undefined && (
        <Link className="backlink" href={back.href}>
          <Icon name="chevronLeft" />
          {back.label}
        </Link>
      )}
      <h1>{title}</h1>
      {children}
    </div>
  );
}
