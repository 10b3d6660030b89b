/** Settings as keys and values: those that differ in one line, or all of them in a table. */

export interface Setting {
  key: string;
  /** As JSON, as the default is. */
  value: string;
  default: string | null;
}

/** "steps 400, nFree 32"; empty where nothing differs. */
export function changedText(settings: readonly Setting[]): string {
  return settings.map(({ key, value }) => `${key} ${plain(value)}`).join(', ');
}

export function Settings({ all, changed }: { all: readonly Setting[]; changed: readonly Setting[] }) {
  if (all.length === 0) return null;
  return (
    <section>
      <h2>Settings</h2>
      {changed.length === 0 ? (
        <p class="quiet">All as its preset has them.</p>
      ) : (
        <List settings={changed} isChanged />
      )}
      <details class="more">
        <summary>All {all.length} settings</summary>
        <List settings={all} />
      </details>
    </section>
  );
}

function List({ settings, isChanged }: { settings: readonly Setting[]; isChanged?: boolean }) {
  return (
    <dl class="facts settings">
      {settings.map((setting) => (
        <div key={setting.key}>
          <dt>{setting.key}</dt>
          <dd>
            {plain(setting.value)}
            {isChanged && setting.default !== null && (
              <span class="quiet"> rather than {plain(setting.default)}</span>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** JSON as people write it: without quotes around words. */
function plain(json: string): string {
  return json.replace(/"/g, '').replace(/,/g, ', ');
}
