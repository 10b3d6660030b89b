/** A field whose words are in the address, and searched for as they are typed. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { query, setQuery } from '../router.ts';

export interface SearchProps {
  label: string;
  /** What the words may be in. */
  hint: string;
  /** Its name behind `?`. */
  name?: string;
}

const PAUSE_MS = 200;

export function Search({ label, hint, name = 'text' }: SearchProps) {
  const address = query.value.get(name) ?? '';
  const typed = useSignal(address);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  // Back and forward change the address, and with it what stands here.
  useEffect(() => {
    if (typed.peek().trim() !== address) typed.value = address;
    return () => clearTimeout(timer.current);
  }, [address]);
  return (
    <input
      type="search"
      aria-label={label}
      placeholder={hint}
      value={typed.value}
      onInput={({ currentTarget: { value } }) => {
        typed.value = value;
        clearTimeout(timer.current);
        timer.current = setTimeout(() => setQuery({ [name]: value.trim() || null, after: null }), PAUSE_MS);
      }}
    />
  );
}
