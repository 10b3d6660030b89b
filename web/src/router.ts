/** Addresses below `/app`: the current one as a signal, and links that change it without loading the page anew. */
import { computed, signal } from '@preact/signals';

const place = signal(read());

function read() {
  return { path: location.pathname.replace(/^\/app\/?/, ''), query: location.search };
}

/** The address behind `/app/`, without slash at its start. */
export const path = computed(() => place.value.path);
/** What stands behind `?`. */
export const query = computed(() => new URLSearchParams(place.value.query));

export function navigate(address: string, how: 'push' | 'replace' = 'push'): void {
  if (address === location.pathname + location.search) return;
  history[how === 'push' ? 'pushState' : 'replaceState'](null, '', address);
  const before = place.peek().path;
  place.value = read();
  if (how === 'push' && place.peek().path !== before) scrollTo(0, 0);
}

/** Changes what stands behind `?` and nothing else: a view's choices, which its address holds; null takes one away. */
export function setQuery(changes: Record<string, string | null>, how: 'push' | 'replace' = 'replace'): void {
  const next = new URLSearchParams(place.peek().query);
  for (const [name, value] of Object.entries(changes))
    if (value === null) next.delete(name);
    else next.set(name, value);
  const text = next.toString();
  navigate(location.pathname + (text ? `?${text}` : ''), how);
}

addEventListener('popstate', () => {
  place.value = read();
});

/** Plain clicks on links to the page's own routes stay in the page. */
addEventListener('click', (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest?.('a');
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (link.pathname !== '/app' && !link.pathname.startsWith('/app/')) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
});
