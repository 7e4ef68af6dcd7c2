// What is refused before anything is sent, and how what is sent looks.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TIM } from '../src/index.js'
import { FakeNode, json } from './fakenode.js'

test('parameters that make no sense are rejected, never thrown', async () => {
  const tim = /** @type {any} */ (TIM.create({ baseURL: 'http://127.0.0.1:1' }))
  for (const [name, options, error] of /** @type {[string, unknown, object][]} */ ([
    ['setGroupCounters', undefined, { code: 10015 }],
    ['setGroupCounters', null, { code: 10015 }],
    ['setGroupCounters', { counters: { a: 1 } }, { code: 10015 }],
    ['setGroupCounters', { groupID: '..', counters: { a: 1 } }, { code: 10015 }],
    ['setGroupCounters', { groupID: '\ud800', counters: { a: 1 } }, { code: 10015 }],
    ['setGroupCounters', { groupID: 'g' }, { code: 10004 }],
    ['setGroupCounters', { groupID: 'g', counters: {} }, { code: 10004 }],
    ['setGroupCounters', { groupID: 'g', counters: [1] }, { code: 10004 }],
    ['setGroupCounters', { groupID: 'g', counters: { a: 1.5 } }, { code: 10004, reason: 'invalid_value' }],
    ['increaseGroupCounter', { groupID: 'g', value: 1 }, { code: 10004, reason: 'invalid_key' }],
    ['increaseGroupCounter', { groupID: 'g', key: 'a' }, { code: 10004, reason: 'invalid_value' }],
    ['decreaseGroupCounter', { groupID: 'g', key: 'a', value: 2 ** 53 }, { code: 10004, reason: 'invalid_value' }],
    ['setGroupCounters', { groupID: 'g', counters: { '\ud800': 1 } }, { code: 10004, reason: 'invalid_key' }],
    ['increaseGroupCounter', { groupID: 'g', key: 'a\udc00', value: 1 }, { code: 10004, reason: 'invalid_key' }],
    ['batchGroupCounters', { operations: [{ op: 'delete', groupID: '\ud800' }] }, { code: 10015, operation: 0 }],
    ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '5000', null].flatMap((timeout) => [
      ['increaseGroupCounter', { groupID: 'g', key: 'a', value: 1, timeout }, { code: 10004, reason: 'invalid_request' }],
      ['getGroupCounters', { groupID: 'g', timeout }, { code: 10004, reason: 'invalid_request' }],
      ['joinGroup', { groupID: 'g', timeout }, { code: 10004, reason: 'invalid_request' }],
    ]),
    ['getGroupCounters', {}, { code: 10015 }],
    ['getGroupCounters', { groupID: 'g', keyList: 'a' }, { code: 10004 }],
    ['increaseGroupCounter', { groupID: 'g', key: 'a', value: 1, idempotencyKey: 'ключ' }, { code: 10004, reason: 'invalid_request' }],
    ['deleteGroupCounters', { groupID: 'g', keyList: [] }, { code: 10004 }],
    ['deleteGroupCounters', { groupID: 'g', keyList: [''] }, { code: 10004 }],
    ['deleteGroupCounters', { groupID: 'g', keylist: ['a'] }, { code: 10004, message: /keyList/ }],
    ['deleteGroupCounters', { groupID: 'g', key: 'a' }, { code: 10004, message: /keyList/ }],
    ['batchGroupCounters', { operations: [{ op: 'delete', groupID: 'g', keys: ['a'] }] }, { code: 10004, operation: 0 }],
    ['batchGroupCounters', {}, { code: 10004 }],
    ['batchGroupCounters', { operations: [{ op: 'delete', groupID: 'g' }, { op: 'set', groupID: 'g', counters: {} }] }, { code: 10004, operation: 1 }],
    ['joinGroup', {}, { code: 10015 }],
    ['quitGroup', undefined, { code: 10015 }],
    ['login', {}, { code: 10012 }],
    ['login', { userID: 'zo\u00eb' }, { code: 10012, reason: 'invalid_user' }],
  ])) await assert.rejects(tim[name](options), { definite: true, ...error }, `${name}(${JSON.stringify(options)})`)
  tim.registerPlugin({ anything: 1 })
})

test('times that make no sense are thrown at creation', () => {
  for (const times of [{ timeout: 0 }, { timeout: Number.POSITIVE_INFINITY }, { attemptTimeout: '5' }, { attemptTimeout: -1 }]) {
    assert.throws(() => TIM.create(/** @type {any} */ ({ baseURL: 'http://a', ...times })), TypeError)
  }
})

test('endpoints that make no sense are thrown at creation', () => {
  for (const options of [undefined, {}, { endpoints: [] }, { baseURL: 'here' }, { baseURL: 'ftp://a' }, { endpoints: ['http://a', 'http://b?c'] }]) {
    assert.throws(() => TIM.create(/** @type {any} */ (options)), TypeError)
  }
})

test('names are never taken for more than names', async (t) => {
  const groupID = 'a/../b?c#d%2e&e +é'
  const node = await FakeNode.start(t, [], (request, response) =>
    json({ group: groupID, revision: 1, ...(request.method === 'DELETE' ? { deleted: ['?&'] } : { counters: { './..': '-1', ['__proto__']: '2' } }) })(request, response))
  const tim = TIM.create({ baseURL: `${node.url}/prefix/` })
  const path = '/prefix/v1/groups/a%2F..%2Fb%3Fc%23d%252e%26e%20%2B%C3%A9'

  const { data } = await tim.increaseGroupCounter({ groupID, key: './..', value: -1 })
  assert.deepEqual([data.groupID, data.key, data.value], [groupID, './..', -1])
  assert.deepEqual(Object.entries(data.counters), [['./..', -1], ['__proto__', 2]])
  assert.deepEqual([node.received[0].url, node.received[0].body], [`${path}/increase?int64=string`, { counters: { './..': '-1' } }])

  assert.deepEqual((await tim.deleteGroupCounters({ groupID, keyList: ['?&', '..'] })).data, { groupID, deleted: ['?&'] })
  assert.deepEqual([node.received[1].method, node.received[1].url], ['DELETE', `${path}/counters?key=%3F%26&key=..`])
  await tim.deleteGroupCounters({ groupID })
  assert.equal(node.received[2].url, `${path}/counters`)
})

test('the calls beyond the original', async (t) => {
  const node = await FakeNode.start(t, [
    json({ group: 'g', revision: 1, counters: { a: '1', b: '2' } }),
    json({ group: 'g', revision: 2, counters: { a: '0', b: '9223372036854775807' } }),
    json({ revision: 3, results: [{ group: 'g', counters: { a: '1' } }, { group: 'g', deleted: ['b'] }, { group: 'h', deleted: [] }] }),
  ])
  const tim = TIM.create({ baseURL: node.url })
  assert.deepEqual((await tim.increaseGroupCounters({ groupID: 'g', counters: { a: 1, b: 2n } })).data, { groupID: 'g', counters: { a: 1, b: 2 } })
  assert.deepEqual((await tim.decreaseGroupCounters({ groupID: 'g', counters: { a: 1, b: -(2n ** 62n) } })).data, { groupID: 'g', counters: { a: 0, b: 9223372036854775807n } })
  const { data } = await tim.batchGroupCounters({ operations: [
    { op: 'increase', groupID: 'g', counters: { a: 1 } },
    { op: 'delete', groupID: 'g', keyList: ['b'] },
    { op: 'delete', groupID: 'h' },
  ] })
  assert.deepEqual(data.results, [{ groupID: 'g', counters: { a: 1 } }, { groupID: 'g', deleted: ['b'] }, { groupID: 'h', deleted: [] }])
  assert.deepEqual(node.received.map(({ url, body }) => [url, body]), [
    ['/v1/groups/g/increase?int64=string', { counters: { a: '1', b: '2' } }],
    ['/v1/groups/g/decrease?int64=string', { counters: { a: '1', b: '-4611686018427387904' } }],
    ['/v1/batch?int64=string', { operations: [
      { op: 'increase', group: 'g', counters: { a: '1' } },
      { op: 'delete', group: 'g', keys: ['b'] },
      { op: 'delete', group: 'h', all: true },
    ] }],
  ])
})
