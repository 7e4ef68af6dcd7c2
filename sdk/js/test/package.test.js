// The three files that the package ships, as their users load them.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import vm from 'node:vm'
import { FakeNode, json } from './fakenode.js'

const increased = json({ group: 'g', revision: 1, counters: { a: '1' } })

/** @param {any} sdk @param {string} baseURL */
async function counts(sdk, baseURL) {
  for (const name of [sdk, sdk.TIM ?? sdk, sdk.TencentCloudChat ?? sdk]) {
    const { data } = await name.create({ SDKAppID: 1, baseURL }).increaseGroupCounter({ groupID: 'g', key: 'a', value: 1 })
    assert.equal(data.value, 1)
    assert.equal(name.EVENT.GROUP_COUNTER_UPDATED, 'onGroupCounterUpdated')
    assert.equal(name.TallyError.name, 'TallyError') // what a console shows of an error
  }
}

test('import', async (t) => {
  const node = await FakeNode.start(t, [], increased)
  const module = await import('tally-sdk')
  assert.deepEqual(Object.keys(module).sort(), ['TIM', 'TallyError', 'TencentCloudChat', 'default'])
  for (const sdk of [module.default, module.TIM, module.TencentCloudChat]) await counts(sdk, node.url)
})

test('require', async (t) => {
  const node = await FakeNode.start(t, [], increased)
  await counts(createRequire(import.meta.url)('tally-sdk'), node.url)
})

test('script', async (t) => {
  const node = await FakeNode.start(t, [], increased)
  const page = vm.createContext({ fetch, crypto, URL, AbortController, TextDecoder, setTimeout, clearTimeout, console })
  vm.runInContext(readFileSync(new URL('../dist/tally.js', import.meta.url), 'utf8'), page)
  assert.deepEqual(Object.keys(page).filter((name) => /tally|tim$|tencent/i.test(name)), ['TIM', 'TencentCloudChat'])
  await counts(page.TIM, node.url)
  await counts(page.TencentCloudChat, node.url)
})

test('nothing is needed at run time', () => {
  const { dependencies, peerDependencies, optionalDependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  assert.deepEqual([dependencies, peerDependencies, optionalDependencies], [undefined, undefined, undefined])
  for (const file of ['tally.mjs', 'tally.cjs', 'tally.js']) {
    assert.doesNotMatch(readFileSync(new URL(`../dist/${file}`, import.meta.url), 'utf8'), /^import |\bfrom ["']|require\(["']/m)
  }
})
