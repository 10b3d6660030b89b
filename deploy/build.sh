#!/bin/sh
# Builds from a checkout what a machine or an image runs, into the directory given: app/ and cache/ (the engine).
# Needs Node, npm, a C++ compiler and pip; what it makes needs Node alone, on any processor of this platform.
set -eu
target=$(mkdir -p "$1" && cd "$1" && pwd)
export CACHE_DIR="$target/cache"

npm ci
npm run -s build
npm run -s prebuilt
npm pack --silent
mkdir -p "$target/app"
tar xzf alignsae-server-*.tgz -C "$target/app" --strip-components 1
cp package-lock.json .npmrc "$target/app"
prebuilt=$(ls "$PWD"/alignsae-native-*.tgz)

cd "$target/app"
# Optional are the binaries of the embedded Postgres alone.
npm ci --omit=dev --omit=optional
name=$(basename "$prebuilt" | sed 's/-[0-9][0-9.]*\.tgz$//')
mkdir -p "node_modules/$name"
tar xzf "$prebuilt" -C "node_modules/$name" --strip-components 1

# What Node never reads: types, maps, and all builds of TensorFlow.js but its own.
find node_modules \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -type f -delete
find node_modules/@tensorflow -path '*/dist/*' ! -path '*/tfjs-backend-wasm/*' ! -name '*.node.js' -type f -delete
rm -rf "$CACHE_DIR/native/downloads" "$CACHE_DIR/native/unfinished"
