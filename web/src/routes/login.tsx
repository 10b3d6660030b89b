/** Where a server with API keys is entered: the key becomes a cookie that scripts cannot read. */
import { useSignal } from '@preact/signals';

export function Login({ onDone }: { onDone(): void }) {
  const fault = useSignal('');
  const isBusy = useSignal(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const key = String(new FormData(event.currentTarget as HTMLFormElement).get('key')).trim();
    isBusy.value = true;
    fault.value = await enter(key);
    isBusy.value = false;
    if (!fault.value) onDone();
  };
  return (
    <form class="login" onSubmit={submit}>
      <h1>This server needs an API key</h1>
      <p>
        It is kept by your browser in a cookie for this server alone, until you close it. Keys are made with
        the mutation <code>createApiKey</code>; the first one is the server’s <code>ADMIN_API_KEY</code>.
      </p>
      <label>
        API key
        <input
          name="key"
          type="password"
          autocomplete="current-password"
          required
          aria-invalid={fault.value !== ''}
        />
      </label>
      <button type="submit" class="primary" disabled={isBusy.value}>
        Enter
      </button>
      {fault.value && (
        <p class="fault" role="alert">
          {fault.value}
        </p>
      )}
    </form>
  );
}

/** What remembers that there is something to log out of: the cookie itself is not for scripts. */
export const LOGGED_IN = 'logged-in';

export async function leave(): Promise<void> {
  await fetch('/app/session', { method: 'DELETE' });
  sessionStorage.removeItem(LOGGED_IN);
  location.assign('/app');
}

/** Empty when the server took the key; else why not. */
async function enter(key: string): Promise<string> {
  try {
    const response = await fetch('/app/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ key }),
    });
    if (response.ok) {
      sessionStorage.setItem(LOGGED_IN, 'yes');
      return '';
    }
    const { errors } = (await response.json()) as { errors?: { message: string }[] };
    return errors?.[0]?.message ?? `The server answered ${response.status}.`;
  } catch {
    return 'The server does not answer.';
  }
}
