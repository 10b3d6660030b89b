/** Pages of a run's events that subscribers catch up with: read once for all that are there at about the same time. */
import type { RunEventRow } from './queries/events.ts';

/** Some megabytes. */
const MAX_PAGES = 8;

interface Page {
  /** Everything up to this number is in it. */
  upTo: number;
  rows: Promise<readonly RunEventRow[]>;
}

export class EventPages {
  /** In the order of use. */
  readonly #pages = new Map<number, Page>();

  /** The page with all events up to `upTo`, read if it is not there. */
  load(
    number: number,
    upTo: number,
    read: () => Promise<readonly RunEventRow[]>,
  ): Promise<readonly RunEventRow[]> {
    const known = this.#pages.get(number);
    this.#pages.delete(number);
    const page = known && known.upTo >= upTo ? known : { upTo, rows: read() };
    this.#pages.set(number, page);
    // What failed is read again by the next who asks.
    page.rows.catch(() => {
      if (this.#pages.get(number) === page) this.#pages.delete(number);
    });
    if (this.#pages.size > MAX_PAGES) this.#pages.delete(this.#pages.keys().next().value!);
    return page.rows;
  }
}
