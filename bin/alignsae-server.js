#!/usr/bin/env node
import { readArguments } from '../dist/cli.js';

try {
  const text = readArguments(process.argv.slice(2));
  if (text === null) await import('../dist/main.js');
  else process.stdout.write(text);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
