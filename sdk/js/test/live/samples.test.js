// Every sample of the page that describes the original's calls, run as it stands
// there against a real cluster. The page is not part of this project: it is read
// from TALLY_SAMPLES, or from shared/original/ beside the project.

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TIM, TencentCloudChat } from '../../src/index.js'
import { until } from '../fakenode.js'
import { Cluster, missingForCluster, root, skipFor } from './cluster.js'

const page = process.env.TALLY_SAMPLES ?? path.join(root, '..', 'shared', 'original', 'group-counters-web-sdk.md')
const missing = missingForCluster() ?? (existsSync(page) ? undefined : `there is no ${path.basename(page)}; name it in TALLY_SAMPLES`)

describe('the samples of the original', skipFor(missing), () => {
  const samples = missing ? [] : [...readFileSync(page, 'utf8').matchAll(/^:::\s+js\n(.*?)^:::/gms)].map(([, code]) => code.trim())
  /** @type {Cluster} */
  let cluster
  before(async () => void (cluster = await Cluster.start()))
  after(() => cluster?.end())

  /** What each must do: how it begins, what there is before, what it prints. */
  const before8 = { key1: 8 }
  const situations = [
    { holds: /^tim\.setGroupCounters\(options\);$/, options: { groupID: 'group1', counters: { key1: 1 } } },
    { holds: /^let promise = tim\.setGroupCounters\(/m, prints: { key1: 0, key2: 0 } },
    { holds: /^tim\.increaseGroupCounter\(options\);$/, options: { groupID: 'group1', key: 'key1', value: 1 } },
    { holds: /^let promise = tim\.increaseGroupCounter\(/m, counters: before8, prints: { groupID: 'group1', key: 'key1', value: 10, counters: { key1: 10 } } },
    { holds: /^tim\.decreaseGroupCounter\(options\);$/, options: { groupID: 'group1', key: 'key1', value: 1 } },
    { holds: /^let promise = tim\.decreaseGroupCounter\(/m, counters: before8, prints: { groupID: 'group1', key: 'key1', value: 6, counters: { key1: 6 } } },
    { holds: /^tim\.getGroupCounter\(options\);$/, options: { groupID: 'group1' } },
    { holds: /^let promise = tim\.getGroupCounters\([^;]*keyList/m, counters: { key1: 1, key2: 2, key3: 3 }, prints: { key1: 1, key2: 2 } },
    { holds: /^let promise = tim\.getGroupCounters\(\{\s*groupID: 'group1'\s*\}/m, counters: { key1: 1, key2: 2, key3: 3 }, prints: { key1: 1, key2: 2, key3: 3 } },
  ]

  for (const [name, sdk] of /** @type {const} */ ([['TIM', TIM], ['TencentCloudChat', TencentCloudChat]])) {
    test(`each call, made by ${name}`, async (t) => {
      const tim = sdk.create({ SDKAppID: 0, endpoints: cluster.endpoints })
      t.after(() => tim.destroy())
      assert.deepEqual(samples.map((code) => situations.filter(({ holds }) => holds.test(code)).length + Number(code.includes('tim.on('))), samples.map(() => 1), 'each sample is of one situation')
      assert.equal(samples.length, situations.length + 1)
      for (const { holds, options, counters, prints } of situations) {
        await tim.deleteGroupCounters({ groupID: 'group1' })
        if (counters) await tim.setGroupCounters({ groupID: 'group1', counters })
        const code = samples.find((sample) => holds.test(sample)) ?? ''
        assert.deepEqual(await run(code, { tim, TIM: sdk, options }), prints, code)
      }
    })
  }

  test('the notification', async (t) => {
    const tim = TIM.create({ SDKAppID: 0, endpoints: cluster.endpoints })
    t.after(() => tim.destroy())
    const code = samples.find((sample) => sample.includes('tim.on(')) ?? ''
    const handler = Function('tim', 'TIM', `${code}\nreturn onGroupCounterUpdated`)(tim, TIM)
    /** @type {unknown[]} */
    const heard = []
    tim.on(TIM.EVENT.GROUP_COUNTER_UPDATED, function (event) {
      handler(event) // takes the event apart as the sample does
      heard.push(event)
    })
    await tim.setGroupCounters({ groupID: 'group2', counters: { key1: 1, key2: 2 } })
    await tim.increaseGroupCounter({ groupID: 'group2', key: 'key1', value: 2 })
    await until(() => heard.length === 3)
    const event = (/** @type {string} */ key, /** @type {number} */ value) => ({ name: 'onGroupCounterUpdated', data: { groupID: 'group2', key, value } })
    assert.deepEqual(heard, [event('key1', 1), event('key2', 2), event('key1', 3)])
  })
})

/**
 * Runs a sample and returns what it prints. One that is the bare call has nothing
 * to print; it is run until its promise is resolved.
 *
 * @param {string} code
 * @param {{tim: object, TIM: object, options: object | undefined}} names
 */
async function run(code, { tim, TIM, options }) {
  if (options) {
    await Function('tim', 'options', `return ${code}`)(tim, options)
    return undefined
  }
  /** @type {unknown[][]} */
  const printed = []
  /** @type {unknown[][]} */
  const warned = []
  const console = { log: (/** @type {unknown[]} */ ...parts) => printed.push(parts), warn: (/** @type {unknown[]} */ ...parts) => warned.push(parts) }
  Function('tim', 'TIM', 'console', code)(tim, TIM, console)
  await until(() => printed.length + warned.length > 0)
  assert.deepEqual(warned, [])
  assert.equal(printed.length, 1)
  return printed[0][0]
}
