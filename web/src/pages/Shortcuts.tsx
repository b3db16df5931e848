import { useI18n } from "../i18n/context";

/** For those with a keyboard; style sheets hide it from the others. */
export function Shortcuts() {
  const { t } = useI18n();
  return (
    <details className="shortcuts">
      <summary>{t.player.shortcuts}</summary>
      <dl>
        {t.player.shortcutList.map(([keys, meaning]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
