// What a call does when nodes and connections misbehave: docs/api.md, "After a time-out".

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TIM } from '../src/index.js'
import { send } from '../src/request.js'
import { FakeNode, json, problem, reset, silence } from './fakenode.js'

const increased = json({ group: 'g', revision: 7, counters: { a: '3' } })
const noLeader = problem('no_leader', { status: 503, retryAfter: 0, errorCode: 10002 })
// After it, the call's time is over before another attempt.
const noLeaderForLong = problem('no_leader', { status: 503, retryAfter: 5, errorCode: 10002 })
const unknown = problem('outcome_unknown', { status: 504, errorCode: 10002, definite: false })
const limited = problem('rate_limited', { status: 429, retryAfter: 0, errorCode: 2996 })
const outOfRange = problem('out_of_range', { status: 409, revision: 9, errorCode: 10004 })
const forbidden = problem('forbidden', { status: 403, errorCode: 10007 })
const expired = (/** @type {number} */ serverTimeMs) => problem('idempotency_key_expired', { status: 422, revision: 9, serverTimeMs })
const proxy = (/** @type {number} */ status) => (/** @type {any} */ _, /** @type {any} */ response) => response.writeHead(status, { 'Content-Type': 'text/html' }).end('<h1>gateway</h1>')
const cut = (/** @type {any} */ _, /** @type {any} */ response) => response.writeHead(200, { 'Content-Length': 100 }).write('{"group":', () => response.destroy())

/** @param {FakeNode} node */
const client = (node, options = {}) => TIM.create({ SDKAppID: 1, baseURL: node.url, timeout: 20_000, attemptTimeout: 300, ...options })
const increase = { groupID: 'g', key: 'a', value: 2 }
const wholeResponse = { code: 0, data: { groupID: 'g', key: 'a', value: 3, counters: { a: 3 } } }

/**
 * Every failed attempt before the last, and that the last is what settles the call.
 *
 * @type {[string, import('./fakenode.js').Answer[]][]}
 */
const repeated = [
  ['nothing at all', []],
  ['a connection that breaks after the request', [reset]],
  ['a reply that breaks off', [cut]],
  ['a node that says nothing', [silence]],
  ['no leader', [noLeader, noLeader]],
  ['an unknown outcome', [unknown]],
  ['no leader after an unknown outcome', [unknown, noLeader]],
  ['too many calls after an unknown outcome', [unknown, limited]],
  ['a refusal of another attempt after an unknown outcome', [reset, forbidden]],
  ['something in between that fails', [proxy(502), proxy(504), proxy(408)]],
  ['a full disk', [problem('disk_full', { status: 507, errorCode: 10002 })]],
  ['an answer that is none', [json({}), json({ group: 'h', revision: 7, counters: { a: '3' } }), json({ group: 'g', counters: { a: 3 } }), json({ group: 'g', counters: {} }), json(null)]],
  ['a mistake of the server', [problem('internal', { status: 500, definite: false })]],
]
for (const [name, failures] of repeated) {
  test(`a change goes on under one key: ${name}`, async (t) => {
    const node = await FakeNode.start(t, [...failures, increased])
    assert.deepEqual(await client(node).increaseGroupCounter(increase), wholeResponse)
    assert.equal(node.received.length, failures.length + 1)
    assert.equal(new Set(node.keys).size, 1)
    assert.match(node.keys[0] ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    for (const { method, url, body } of node.received) {
      assert.deepEqual({ method, url, body }, { method: 'POST', url: '/v1/groups/g/increase?int64=string', body: { counters: { a: '2' } } })
    }
  })
}

/** @type {[string, import('./fakenode.js').Answer[], object][]} */
const settled = [
  ['too many calls', [limited], { code: 2996, reason: 'rate_limited', definite: true, status: 429 }],
  ['a refusal', [forbidden], { code: 10007, reason: 'forbidden', definite: true }],
  ['a refusal after no leader', [noLeader, forbidden], { code: 10007, reason: 'forbidden', definite: true }],
  ['the state machine', [outOfRange], { code: 10004, reason: 'out_of_range', definite: true, revision: 9 }],
  ['the state machine, after an unknown outcome', [unknown, outOfRange], { code: 10004, reason: 'out_of_range', definite: true, revision: 9 }],
  ['the state machine, after a broken connection', [reset, noLeader, outOfRange], { code: 10004, reason: 'out_of_range', definite: true }],
  ['a key that was of use for something else', [problem('idempotency_key_reused', { status: 422, revision: 9 })], { code: 10004, reason: 'idempotency_key_reused', definite: true }],
  ['something in between that refuses', [proxy(403)], { code: 2800, reason: 'unreachable', definite: true, status: 403 }],
  ['no identity', [problem('unauthenticated', { status: 401 })], { code: 60004, reason: 'unauthenticated', definite: true }],
]
for (const [name, answers, error] of settled) {
  test(`a change is settled by a failure: ${name}`, async (t) => {
    const node = await FakeNode.start(t, [...answers], increased)
    await assert.rejects(client(node).increaseGroupCounter(increase), error)
    assert.equal(node.received.length, answers.length)
  })
}

test('whose outcome stays unknown says so, with the key to go on', async (t) => {
  const node = await FakeNode.start(t, [reset, noLeader], noLeaderForLong)
  const tim = client(node)
  /** @type {any} */
  const error = await tim.increaseGroupCounter({ ...increase, timeout: 400 }).catch((/** @type {any} */ e) => e)
  assert.ok(error instanceof TIM.TallyError && error instanceof Error)
  assert.equal(error.reason, 'outcome_unknown')
  assert.equal(error.code, 10002)
  assert.equal(error.definite, false)
  assert.equal(error.idempotencyKey, node.keys[0])
  assert.equal(node.received.length, 3)

  node.otherwise = increased
  assert.deepEqual(await tim.increaseGroupCounter({ ...increase, idempotencyKey: error.idempotencyKey }), wholeResponse)
  assert.equal(new Set(node.keys).size, 1)
})

test('a call that goes on is never ended by what a later attempt meets', async (t) => {
  const node = await FakeNode.start(t, [], forbidden)
  await assert.rejects(client(node).increaseGroupCounter({ ...increase, idempotencyKey: 'k', timeout: 200 }), { reason: 'outcome_unknown', definite: false })
  node.otherwise = expired(Date.now())
  await assert.rejects(client(node).increaseGroupCounter({ ...increase, idempotencyKey: 'k' }), { reason: 'outcome_unknown', definite: false })
  assert.deepEqual([...new Set(node.keys)], ['k'])
})

test('a call whose attempts certainly did nothing ends with the last of them', async (t) => {
  const node = await FakeNode.start(t, [noLeader], noLeaderForLong)
  await assert.rejects(client(node).increaseGroupCounter({ ...increase, timeout: 400 }), { reason: 'no_leader', code: 10002, definite: true })
})

test('nodes that are not there have done nothing', async (t) => {
  const node = await FakeNode.start(t, [])
  const { url } = node
  node.stop()
  for (const mutates of [true, false]) {
    await assert.rejects(send(url, { method: 'GET', path: '/', mutates, accepts: () => true }, {}, new AbortController().signal, 10_000), { reason: 'unreachable', code: 2800, definite: true })
  }
})

test('nodes that say nothing may have done it', async (t) => {
  const node = await FakeNode.start(t, [], silence)
  await assert.rejects(client(node).increaseGroupCounter({ ...increase, timeout: 200 }), { reason: 'outcome_unknown', code: 2801, definite: false })
  await assert.rejects(client(node).getGroupCounters({ groupID: 'g', timeout: 200 }), { reason: 'timeout', code: 2801, definite: true })
})

test('the clock is corrected, once and for all later keys', async (t) => {
  const serverTimeMs = Date.now() + 3_600_000
  const node = await FakeNode.start(t, [expired(serverTimeMs), increased, increased])
  const tim = client(node)
  assert.deepEqual(await tim.increaseGroupCounter(increase), wholeResponse)
  await tim.increaseGroupCounter(increase)
  const [first, second, third] = node.keys.map((key = '') => Number.parseInt(key.slice(0, 13).replace('-', ''), 16))
  assert.ok(first < serverTimeMs - 3_000_000, 'the first key is of the wrong time')
  assert.ok(Math.abs(second - serverTimeMs) < 5000 && Math.abs(third - serverTimeMs) < 5000, 'the others are of the right one')
})

test('no new key after an attempt that may have been applied', async (t) => {
  for (const first of [unknown, reset]) {
    const node = await FakeNode.start(t, [first, expired(Date.now())], increased)
    await assert.rejects(client(node).increaseGroupCounter(increase), { reason: 'outcome_unknown', definite: false })
    assert.equal(node.received.length, 2)
    assert.equal(new Set(node.keys).size, 1)
  }
})

test('keys that are refused again and again end the call', async (t) => {
  const node = await FakeNode.start(t, [], expired(Date.now()))
  await assert.rejects(client(node).increaseGroupCounter(increase), { reason: 'idempotency_key_expired', definite: true })
  assert.equal(node.received.length, 3)
  assert.equal(new Set(node.keys).size, 3)
})

test('another node is asked when one fails, and then stays the one', async (t) => {
  const bad = await FakeNode.start(t, [], noLeader)
  const good = await FakeNode.start(t, [], increased)
  const tim = TIM.create({ endpoints: [bad.url, good.url] })
  for (let i = 0; i < 5; i++) await tim.increaseGroupCounter(increase)
  assert.ok(bad.received.length <= 1)
  assert.equal(good.received.length, 5)
})

test('reads carry no key, and go on over nodes that fail', async (t) => {
  const node = await FakeNode.start(t, [reset, noLeader, json({ group: 'g', revision: 1, modRevision: 1, counters: { a: '1', b: '9007199254740993' } })])
  const { data } = await client(node).getGroupCounters({ groupID: 'g', keyList: ['b', 'none', 'b'] })
  assert.deepEqual(data, { groupID: 'g', counters: { b: 9007199254740993n } })
  assert.deepEqual(node.keys, [undefined, undefined, undefined])
})

test('reads are never answered from here', async (t) => {
  let n = 0
  const node = await FakeNode.start(t, [], (request, response) => json({ group: 'g', revision: 1, modRevision: 1, counters: { a: String(++n) } })(request, response))
  const tim = client(node)
  for (const a of [1, 2, 3]) assert.deepEqual((await tim.getGroupCounters({ groupID: 'g' })).data.counters, { a })
})

test('a read over the limit is rejected as the original does', async (t) => {
  const node = await FakeNode.start(t, [limited])
  await assert.rejects(client(node).getGroupCounters({ groupID: 'g' }), { code: 2996 })
})

test('a call that is given up says what is known', async (t) => {
  const node = await FakeNode.start(t, [], silence)
  const tim = client(node, { attemptTimeout: 10_000 })
  const before = AbortSignal.abort(new Error('changed my mind'))
  await assert.rejects(tim.increaseGroupCounter({ ...increase, signal: before }), { name: 'AbortError', reason: 'aborted', definite: true, code: 20 })
  assert.equal(node.received.length, 0)

  const during = new AbortController()
  node.otherwise = () => during.abort()
  await assert.rejects(tim.increaseGroupCounter({ ...increase, signal: during.signal }), (/** @type {any} */ error) => {
    assert.deepEqual([error.name, error.reason, error.definite, error.idempotencyKey], ['AbortError', 'outcome_unknown', false, node.keys[0]])
    return true
  })
  const reading = new AbortController()
  node.otherwise = () => reading.abort()
  await assert.rejects(tim.getGroupCounters({ groupID: 'g', signal: reading.signal }), { name: 'AbortError', reason: 'aborted', definite: true })
})

test('a client that is destroyed ends its calls', async (t) => {
  const node = await FakeNode.start(t, [])
  const tim = client(node, { attemptTimeout: 10_000 })
  node.otherwise = () => void tim.destroy()
  await assert.rejects(tim.increaseGroupCounter(increase), { reason: 'outcome_unknown', definite: false })
  await assert.rejects(tim.increaseGroupCounter(increase), { code: 2999, reason: 'not_ready' })
  await assert.rejects(tim.login({ userID: 'ann' }), { code: 2999 })
})

test('what is given may be changed once the call is made', async (t) => {
  const node = await FakeNode.start(t, [increased])
  /** @type {Record<string, number>} */
  const counters = { a: 2 }
  const call = client(node).increaseGroupCounters({ groupID: 'g', counters })
  counters.b = 1
  assert.deepEqual((await call).data.counters, { a: 3 })
  assert.deepEqual(node.received.map(({ body }) => body), [{ counters: { a: '2' } }])
})
