// Builds dist/: one file each for import, require and <script>, with their types.

import { build } from 'esbuild'
import { cp, mkdir, rm } from 'node:fs/promises'

const common = { bundle: true, target: 'es2022', logLevel: 'warning', charset: 'utf8', keepNames: true }

await rm('dist', { recursive: true, force: true })
await mkdir('dist')
await Promise.all([
  build({ ...common, entryPoints: ['src/index.js'], format: 'esm', outfile: 'dist/tally.mjs' }),
  build({ ...common, entryPoints: ['src/require.cjs'], format: 'cjs', outfile: 'dist/tally.cjs' }),
  build({ ...common, entryPoints: ['src/script.js'], format: 'iife', minify: true, outfile: 'dist/tally.js' }),
  cp('types/index.d.ts', 'dist/tally.d.mts'),
  cp('types/require.d.cts', 'dist/tally.d.cts'),
  cp('types/script.d.ts', 'dist/tally.d.ts'),
])
