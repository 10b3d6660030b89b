/** Per-request batching: what sibling fields ask for in one tick becomes one call of a service. */
import DataLoader from 'dataloader';
import type { EngineWork } from '../services/engine.ts';
import type { Page, PageArgs } from '../services/run.ts';

type Db = EngineWork['db'];

/** A service function that answers many keys at once, in their order. */
export type Batch<T> = (db: Db, keys: readonly string[]) => Promise<readonly T[]>;
/** The same, where the answers are the engine's work. */
export type WorkBatch<T> = (work: EngineWork, keys: readonly string[]) => Promise<readonly T[]>;
/** A service function that reads the same page of many lists at once. */
export type PageBatch<Row, Args extends PageArgs> = (
  db: Db,
  keys: readonly string[],
  args: Args,
) => Promise<ReadonlyMap<string, Page<Row>>>;

/** The same, told in which way. */
export type ArgsBatch<T, Args extends object> = (
  db: Db,
  keys: readonly string[],
  args: Args,
) => Promise<readonly T[]>;

/** Remembers what it loaded; make one for each request, and clear it when something was changed. */
export class Loaders {
  readonly #work: EngineWork;
  #loaders = new Map<unknown, Map<string, DataLoader<string, unknown>>>();

  constructor(work: EngineWork) {
    this.#work = work;
  }

  /** `batch` applied to `key`, together with the other keys asked for in this tick. */
  load<T>(batch: Batch<T>, key: string): Promise<T> {
    return this.#loader(batch, '', (keys) => batch(this.#work.db, keys)).load(key) as Promise<T>;
  }

  /** The same, where the key may be missing. */
  loadMaybe<T>(batch: Batch<T>, key: string | null): Promise<T> | null {
    return key === null ? null : this.load(batch, key);
  }

  /** As `load`, for a `batch` that the engine answers. */
  loadWork<T>(batch: WorkBatch<T>, key: string): Promise<T> {
    return this.#loader(batch, '', (keys) => batch(this.#work, keys)).load(key) as Promise<T>;
  }

  /** One page of the list of `key`, together with the same page of other lists. */
  loadPage<Row, Args extends PageArgs>(
    batch: PageBatch<Row, Args>,
    key: string,
    args: Args,
  ): Promise<Page<Row>> {
    const load = async (keys: readonly string[]) => {
      const pages = await batch(this.#work.db, keys, args);
      return keys.map((k) => pages.get(k)!);
    };
    return this.#loader(batch, JSON.stringify(args), load).load(key) as Promise<Page<Row>>;
  }

  /** What `batch` gives for `key` with these arguments, together with other keys; read anew each time, for it may grow. */
  loadGrowing<T, Args extends object>(batch: ArgsBatch<T, Args>, key: string, args: Args): Promise<T> {
    const load = (keys: readonly string[]) => batch(this.#work.db, keys, args);
    return this.#loader(batch, JSON.stringify(args), load, false).load(key) as Promise<T>;
  }

  clear(): void {
    this.#loaders.clear();
  }

  #loader(
    batch: unknown,
    variant: string,
    load: (keys: readonly string[]) => Promise<readonly unknown[]>,
    cache = true,
  ): DataLoader<string, unknown> {
    const variants = this.#loaders.get(batch) ?? new Map<string, DataLoader<string, unknown>>();
    this.#loaders.set(batch, variants);
    const loader = variants.get(variant) ?? new DataLoader(load, { cache });
    variants.set(variant, loader);
    return loader;
  }
}
