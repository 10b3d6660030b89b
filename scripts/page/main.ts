/** `npm run build:page` */
import { buildPage } from './build.ts';

await buildPage();
