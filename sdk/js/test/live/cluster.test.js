// The client against a real cluster whose nodes are killed, paused and started again.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { after, before, describe, test } from 'node:test'
import { TIM } from '../../src/index.js'
import { until } from '../fakenode.js'
import { Cluster, missingForCluster, skipFor } from './cluster.js'

describe('a live cluster', skipFor(missingForCluster()), () => {
  /** @type {Cluster} */
  let cluster
  before(async () => void (cluster = await Cluster.start()))
  after(() => cluster?.end())

  /** @param {import('node:test').TestContext} t */
  function client(t, options = {}) {
    const tim = TIM.create({ SDKAppID: 1, endpoints: cluster.endpoints, timeout: 30_000, ...options })
    tim.setLogLevel(3)
    t.after(() => tim.destroy())
    return tim
  }

  /**
   * Counts up by 1, several at a time.
   *
   * @param {import('../../types/index.d.ts').Chat[]} clients
   * @param {string} groupID
   * @param {number} total
   * @param {(acknowledged: number) => void} [each]
   */
  async function count(clients, groupID, total, each) {
    let begun = 0
    let acknowledged = 0
    const worker = async (/** @type {import('../../types/index.d.ts').Chat} */ tim) => {
      while (begun++ < total) {
        await tim.increaseGroupCounter({ groupID, key: 'likes', value: 1 })
        each?.(++acknowledged)
      }
    }
    await Promise.all(clients.flatMap((tim) => [1, 2, 3, 4].map(() => worker(tim))))
    assert.equal(acknowledged, total)
  }

  /**
   * @param {import('node:test').TestContext} t
   * @param {string} groupID
   */
  async function listen(t, groupID, options = {}) {
    const tim = client(t, options)
    /** @type {unknown[]} */
    const values = []
    tim.on(TIM.EVENT.GROUP_COUNTER_UPDATED, ({ data }) => values.push(data.value))
    await tim.joinGroup({ groupID })
    return values
  }

  test('the leader is killed in the middle: the sum is exact, and watches hear each change once', async (t) => {
    const total = 1500
    const groupID = 'killed'
    const heard = await Promise.all([listen(t, groupID), listen(t, groupID), listen(t, groupID, { watch: 'poll' })])
    /** @type {Promise<string> | undefined} */
    let kill
    await count([client(t), client(t), client(t)], groupID, total, (acknowledged) => {
      if (acknowledged === total / 3) kill = cluster.killLeader()
    })
    const killed = await kill
    assert.ok(killed)
    assert.deepEqual((await client(t).getGroupCounters({ groupID })).data.counters, { likes: total })
    await until(() => heard.every((values) => values.length >= total))
    // Each change is by 1, so that each new value is the number of the change.
    for (const values of heard) assert.deepEqual(values, Array.from({ length: total }, (_, i) => i + 1))
    await cluster.run('start', killed)
  })

  test('the leader is paused in the middle: the sum is exact', async (t) => {
    const total = 300
    const groupID = 'paused'
    /** @type {Promise<string> | undefined} */
    let paused
    await count([client(t, { attemptTimeout: 1000 }), client(t, { attemptTimeout: 1000 })], groupID, total, (acknowledged) => {
      if (acknowledged === total / 3) paused = cluster.run('pause', 'leader')
    })
    const id = /^(n\d) is paused/.exec((await paused) ?? '')?.[1] ?? ''
    await cluster.run('resume', id)
    for (const baseURL of cluster.endpoints) {
      const tim = client(t, { endpoints: undefined, baseURL })
      assert.deepEqual((await tim.getGroupCounters({ groupID })).data.counters, { likes: total })
    }
  })

  test('all nodes are stopped and started: nothing is missed', async (t) => {
    const groupID = 'restarted'
    const tim = client(t)
    /** @type {Record<string, unknown>} */
    const seen = {}
    tim.on(TIM.EVENT.GROUP_COUNTER_UPDATED, ({ data }) => (seen[data.key] = data.value))
    tim.on(TIM.EVENT.GROUP_COUNTER_DELETED, ({ data }) => delete seen[data.key])
    await tim.setGroupCounters({ groupID, counters: { a: 1, b: 2, c: 3 } })
    await until(() => seen.c === 3)
    await cluster.run('down')
    await cluster.run('up')
    const other = client(t)
    await other.batchGroupCounters({ operations: [
      { op: 'increase', groupID, counters: { a: 4 } },
      { op: 'delete', groupID, keyList: ['b'] },
      { op: 'set', groupID, counters: { d: -1 } },
    ] })
    await until(() => seen.d === -1 && seen.a === 5 && !('b' in seen))
    assert.deepEqual(seen, (await other.getGroupCounters({ groupID })).data.counters)
  })

  test('64 bits are exact, in calls and in events', async (t) => {
    const groupID = 'größe/../%2F'
    const tim = client(t)
    /** @type {unknown[]} */
    const heard = []
    tim.on(TIM.EVENT.GROUP_COUNTER_UPDATED, ({ data }) => heard.push(data))
    tim.on(TIM.EVENT.GROUP_COUNTER_DELETED, ({ data }) => heard.push(data))
    const max = 2n ** 63n - 1n
    assert.deepEqual((await tim.setGroupCounters({ groupID, counters: { '__proto__x': max, small: -5, '..': 0 } })).data, { groupID, counters: { '__proto__x': max, small: -5, '..': 0 } })
    assert.deepEqual((await tim.decreaseGroupCounter({ groupID, key: '__proto__x', value: 1n })).data, { groupID, key: '__proto__x', value: max - 1n, counters: { '__proto__x': max - 1n } })
    await assert.rejects(tim.increaseGroupCounter({ groupID, key: '__proto__x', value: 2 }), { code: 10004, reason: 'out_of_range', definite: true })
    assert.deepEqual((await tim.getGroupCounter({ groupID, keyList: ['..', 'none'] })).data.counters, { '..': 0 })
    assert.deepEqual((await tim.deleteGroupCounters({ groupID, keyList: ['..', 'none'] })).data, { groupID, deleted: ['..'] })
    await until(() => heard.length === 5)
    assert.deepEqual(heard.slice(3), [{ groupID, key: '__proto__x', value: max - 1n }, { groupID, key: '..' }])
    await assert.rejects(tim.setGroupCounters({ groupID, counters: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`k${i}`, i])) }), { code: 10063 })
    await assert.rejects(tim.setGroupCounters({ groupID: '@TGS#_a@TOPIC#_b', counters: { a: 1 } }), { code: 10007 })
  })

  test('a user who calls too often is told so, as the original tells it', async (t) => {
    const tim = client(t, { userID: 'busy' })
    const calls = Array.from({ length: 30 }, () => tim.increaseGroupCounter({ groupID: 'limited', key: 'a', value: 1 }))
    const results = await Promise.allSettled(calls)
    const refused = results.filter(({ status }) => status === 'rejected').map((each) => /** @type {any} */ (each).reason.code)
    assert.equal(results.length - refused.length, 20)
    assert.deepEqual(new Set(refused), new Set([2996]))
    assert.deepEqual((await client(t).getGroupCounters({ groupID: 'limited' })).data.counters, { a: 20 })
  })

  test('the example of the README', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
    let code = /```js\n(.*?)```/s.exec(readme)?.[1] ?? ''
    Object.values(cluster.nodes).forEach((url, i) => (code = code.replace(`http://127.0.0.1:${8101 + i}`, url)))
    assert.ok(!code.includes(':810'), code)
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', `${code}\nawait tim.destroy()`], { cwd: new URL('../..', import.meta.url) })
    assert.match(stdout, /^2 \{ likes: 2, views: 100 \}$/m)
  })

  test('a device whose clock is wrong counts all the same', async (t) => {
    const tim = client(t)
    const now = Date.now
    t.after(() => void (Date.now = now))
    for (const hours of [5, -5]) {
      Date.now = () => now() + hours * 3_600_000
      const { data } = await tim.increaseGroupCounter({ groupID: 'clock', key: 'a', value: 1 })
      assert.equal(data.value, hours > 0 ? 1 : 2)
    }
  })
})
