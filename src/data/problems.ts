/** What is wrong with a file, gathered so that its author sees more than the first mistake. */
import { AppError } from '../errors.ts';

/** After this many an import stops reading. */
const MAX_PROBLEMS = 20;
/** Characters of a reason, which may quote the file. */
const MAX_REASON = 300;

export class Problems {
  readonly #found: { place: string; reason: string }[] = [];
  readonly #unit: string;

  /** `unit` is what a place is called, such as `line`. */
  constructor(unit: string) {
    this.#unit = unit;
  }

  /**
   * Notes what is wrong at `place`.
   * @throws AppError once there are too many to go on.
   */
  add(place: number | string, reason: string): void {
    const shown = reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)} …` : reason;
    this.#found.push({ place: String(place), reason: shown });
    if (this.#found.length >= MAX_PROBLEMS) this.throwIfAny();
  }

  /** @throws AppError INVALID_INPUT listing everything found; its path names the first place. */
  throwIfAny(): void {
    const [first] = this.#found;
    if (!first) return;
    const count = this.#found.length;
    const heading =
      count >= MAX_PROBLEMS
        ? `Stopped at ${count} bad ${this.#unit}s`
        : `${count} bad ${this.#unit}${count > 1 ? 's' : ''}`;
    const list = this.#found.map(({ place, reason }) => `${this.#unit} ${place}: ${reason}`).join('\n');
    throw new AppError('INVALID_INPUT', `${heading}, nothing was imported.\n${list}`, {
      path: [`${this.#unit}s`, first.place],
    });
  }
}
