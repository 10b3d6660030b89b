/** Which implementation of products is fastest on this machine, for each kind of shape. */
import { type NativeAddon, nativeEnvironment } from '../contract/native.ts';
import { type ProductChoice, productShape } from '../contract/products.ts';
import { type Environment, execute } from './command.ts';

/** How much faster than the first another must be to be chosen, so that noise does not choose. */
const CLEARLY = 1.02;

/** Prints what an addon is; without a GPU, which has products of its own, the implementations and their speeds too. */
const PROBE = `
  const addon = require(process.argv[1]);
  const measure = () => addon.executeOp('AlignsaeMeasureProducts', [], [], 2).map(({ id }) => [...addon.tensorDataSync(id)]);
  const [tiles, speeds] = addon.isUsingGpuDevice() ? [[], []] : measure();
  JSON.stringify({ version: addon.TF_Version, tiles, speeds })`;

export interface Probe {
  tensorflowVersion: string;
  products: ProductChoice[];
}

/**
 * Loads the addon in a process of its own, which an unsuitable CPU or library would end, and lets it multiply for about
 * half a second of one core.
 * @throws Error when it does not load.
 */
export async function probeAddon(
  path: string,
  libraryDirs: readonly string[],
  environment: Environment,
): Promise<Probe> {
  const given: NativeAddon = {
    available: true,
    path,
    tensorflowVersion: '',
    gpus: [],
    libraryDirs,
    products: [],
  };
  const printed = await execute(
    { file: process.execPath, args: ['-p', PROBE, path] },
    { ...environment, ...nativeEnvironment(given, environment), NODE_OPTIONS: '' },
  );
  const { version, tiles, speeds } = JSON.parse(printed) as {
    version: string;
    tiles: number[];
    speeds: number[];
  };
  return { tensorflowVersion: version, products: chooseProducts(tiles, speeds) };
}

/**
 * The fastest implementation for each kind of shape; the first one, unless another is clearly faster.
 * @param tiles `[implementations, 3]`: rows, columns, bytes of panels.
 * @param speeds `[shapes, implementations]` in GFLOP/s; none where nothing was measured.
 */
export function chooseProducts(tiles: readonly number[], speeds: readonly number[]): ProductChoice[] {
  const count = tiles.length / 3;
  if (count === 0) return [];
  return productShape.options.map((shape, at) => {
    const measured = speeds.slice(at * count, (at + 1) * count);
    const best = measured.indexOf(Math.max(...measured));
    const chosen = measured[best]! > CLEARLY * measured[0]! ? best : 0;
    const trials = measured.map((speed, i) => ({
      rows: tiles[3 * i]!,
      columns: tiles[3 * i + 1]!,
      panelBytes: tiles[3 * i + 2]!,
      gigaflops: Math.round(speed * 10) / 10,
      chosen: i === chosen,
    }));
    return { shape, trials };
  });
}
