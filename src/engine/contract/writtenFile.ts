/** A file that the engine wrote into its work directory; the host takes it over (moves it into the store). */
export interface WrittenFile {
  path: string;
  /** Lower-case hex of the file's SHA-256. */
  sha256: string;
  bytes: number;
}
