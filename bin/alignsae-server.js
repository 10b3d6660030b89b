#!/usr/bin/env node
import { readArguments } from '../dist/cli.js';

// Read by libraries when they are loaded: graphql checks more, and slower, without it.
process.env.NODE_ENV ??= 'production';
try {
  const asked = readArguments(process.argv.slice(2));
  if ('print' in asked) process.stdout.write(asked.print);
  else await import(`../dist/${asked.run}.js`);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
