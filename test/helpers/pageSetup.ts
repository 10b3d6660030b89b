/** Once for the whole suite: the page, built anew where its sources have changed. */
import { buildPageIfStale } from '../../scripts/page/build.ts';

export default async function setup(): Promise<void> {
  await buildPageIfStale();
}
