// The shared watch when nodes and connections misbehave.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { TIM } from '../src/index.js'
import { FakeNode, json, problem, reset, silence, stream, until } from './fakenode.js'

/** @param {string} group @param {Record<string, string>} counters */
const state = (group, counters) => ({ type: 'reset', group, revision: 1, counters })
/** @param {string} key @param {string} value */
const changed = (key, value, group = 'g') => ({ type: 'increase', revision: 1, group, key, value, delta: '1', timeMs: 1 })

/**
 * A client that listens, and what it hears.
 *
 * @param {import('node:test').TestContext} t
 * @param {FakeNode} node
 */
function listener(t, node, options = {}) {
  const tim = TIM.create({ baseURL: node.url, attemptTimeout: 300, ...options })
  tim.setLogLevel(4)
  t.after(() => tim.destroy())
  /** @type {string[]} */
  const heard = []
  tim.on(TIM.EVENT.GROUP_COUNTER_UPDATED, ({ data }) => heard.push(`${data.groupID}.${data.key}=${data.value}`))
  tim.on(TIM.EVENT.GROUP_COUNTER_DELETED, ({ data }) => heard.push(`${data.groupID}.${data.key} deleted`))
  return { tim, heard }
}

/** @param {FakeNode} node the cursors that it was sent */
const cursors = (node) => node.received.map(({ body }) => body?.cursor)

test('a stream goes on from its cursor wherever it broke', async (t) => {
  const broken = stream({ cursor: 'c2', events: [changed('a', '2')] })
  const node = await FakeNode.start(t, [
    json({ cursor: 'c1', events: [state('g', { a: '1' })] }),
    (request, response) => { broken(request, response); response.write('id: c3\ndata: {"cursor":"c3","eve', () => response.destroy()) },
    reset,
    problem('shutting_down', { status: 503, retryAfter: 0 }),
    stream({ cursor: 'c3', events: [changed('a', '3'), changed('b', '1')] }),
  ], silence)
  const { tim, heard } = listener(t, node)
  assert.deepEqual((await tim.joinGroup({ groupID: 'g' })).data, { status: TIM.TYPES.JOIN_STATUS_SUCCESS, group: { groupID: 'g' } })
  await until(() => heard.length === 3)
  assert.deepEqual(heard, ['g.a=2', 'g.a=3', 'g.b=1'])
  assert.deepEqual(cursors(node), [undefined, 'c1', 'c2', 'c2', 'c2'])
  const [first, second] = node.received
  assert.deepEqual([first.method, first.url, first.body.groups], ['POST', '/v1/watch?int64=string&wait=0ms', [{ group: 'g' }]])
  assert.deepEqual([second.method, second.url, second.headers.accept], ['POST', '/v1/watch?int64=string', 'text/event-stream'])
})

test('what is sent in pieces and with letters cut in two is understood', async (t) => {
  const bytes = Buffer.from(`id: c2\ndata: ${JSON.stringify({ cursor: 'c2', events: [changed('ключ', '5')] })}\n\n`)
  const node = await FakeNode.start(t, [json({ cursor: 'c1', events: [state('g', {})] }), async (_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    for (const byte of bytes) await new Promise((resolve) => response.write(Buffer.of(byte), resolve))
  }])
  const { tim, heard } = listener(t, node)
  await tim.joinGroup({ groupID: 'g' })
  await until(() => heard.length === 1)
  assert.deepEqual(heard, ['g.ключ=5'])
})

test('a group that is refused is nothing to the others', async (t) => {
  const refuse = problem('unsupported_group', { status: 403, errorCode: 10007, param: 'group' })
  const node = await FakeNode.start(t, [], (request, response) => {
    const groups = request.body.groups.map((/** @type {any} */ each) => each.group)
    if (groups.includes('bad')) refuse(request, response)
    else if (request.url.includes('wait=0ms')) json({ cursor: groups.join(), events: groups.map((/** @type {string} */ group) => state(group, {})) })(request, response)
    else stream({ cursor: groups.join(), events: groups.map((/** @type {string} */ group) => changed('a', '1', group)) })(request, response)
  })
  const { tim, heard } = listener(t, node)
  const joins = await Promise.allSettled(['one', 'bad', 'two'].map((groupID) => tim.joinGroup({ groupID })))
  assert.deepEqual(joins.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled'])
  assert.equal(/** @type {any} */ (joins[1]).reason.code, 10007)
  await until(() => heard.includes('one.a=1') && heard.includes('two.a=1'))
  await assert.rejects(tim.joinGroup({ groupID: 'bad' }), { code: 10007 })
})

test('a stream that is held back gives way to long polls', async (t) => {
  let polls = 0
  const node = await FakeNode.start(t, [], (request, response) => {
    if (request.headers.accept === 'text/event-stream') return // held back
    if (request.url.includes('wait=0ms')) return json({ cursor: '0', events: [state('g', {})] })(request, response)
    polls++
    assert.equal(request.body.cursor, String(polls - 1))
    if (polls <= 3) json({ cursor: String(polls), events: [changed('a', String(polls))] })(request, response)
  })
  const { tim, heard } = listener(t, node, { attemptTimeout: 50 })
  await tim.joinGroup({ groupID: 'g' })
  await until(() => heard.length === 3)
  assert.deepEqual(heard, ['g.a=1', 'g.a=2', 'g.a=3'])
})

test('long polls alone, where the client asks for them', async (t) => {
  const node = await FakeNode.start(t, [
    json({ cursor: 'c1', events: [state('g', {})] }),
    json({ cursor: 'c2', events: [changed('a', '1')] }),
    json({ cursor: 'c3', events: [] }),
    reset,
    json({ cursor: 'c4', events: [changed('a', '2')] }),
  ], silence)
  const { tim, heard } = listener(t, node, { watch: 'poll' })
  await tim.joinGroup({ groupID: 'g' })
  await until(() => heard.length === 2)
  assert.deepEqual(cursors(node).slice(0, 5), [undefined, 'c1', 'c2', 'c3', 'c3'])
  assert.ok(node.received.slice(1).every(({ url, headers }) => url === '/v1/watch?int64=string&wait=25000ms' && headers.accept !== 'text/event-stream'))
})

test('a cursor that is refused is given up, and the state tells what was missed', async (t) => {
  const node = await FakeNode.start(t, [
    json({ cursor: 'c1', events: [state('g', { a: '1', b: '2', c: '3' })] }),
    problem('invalid_request', { status: 400, param: 'cursor' }),
    stream({ cursor: 'd1', events: [state('g', { a: '1', b: '7' })] }),
  ], silence)
  const { tim, heard } = listener(t, node)
  await tim.joinGroup({ groupID: 'g' })
  await until(() => heard.length === 2)
  assert.deepEqual(heard, ['g.b=7', 'g.c deleted'])
  assert.deepEqual(cursors(node), [undefined, 'c1', undefined])
})

test('one connection for all groups, made anew from the same cursor when they change', async (t) => {
  const node = await FakeNode.start(t, [], (request, response) => {
    const groups = request.body.groups.map((/** @type {any} */ each) => each.group)
    const fresh = groups.filter((/** @type {string} */ group) => !String(request.body.cursor).split(',').includes(group))
    if (request.url.includes('wait=0ms')) json({ cursor: groups.join(), events: fresh.map((/** @type {string} */ group) => state(group, {})) })(request, response)
    else stream({ cursor: groups.join(), events: [] })(request, response)
  })
  const { tim } = listener(t, node)
  await tim.joinGroup({ groupID: 'a' })
  await tim.joinGroup({ groupID: 'b' })
  assert.equal((await tim.joinGroup({ groupID: 'b' })).data.status, TIM.TYPES.JOIN_STATUS_ALREADY_IN_GROUP)
  await tim.quitGroup('a')
  const streamed = (/** @type {string} */ groups) => node.received.some(({ headers, body }) => headers.accept === 'text/event-stream' && body.cursor && JSON.stringify(body.groups) === groups)
  await until(() => streamed('[{"group":"b"}]'))
  const second = node.received.find(({ body }) => body.groups.length === 2)
  assert.equal(second?.body.cursor, 'a')
})

test('a change waits for the watch that is to show it', async (t) => {
  const node = await FakeNode.start(t, [], (request, response) => {
    if (request.url.startsWith('/v1/groups')) return json({ group: 'g', revision: 2, counters: { a: '1' } })(request, response)
    if (request.url.includes('wait=0ms')) return setTimeout(() => json({ cursor: 'c1', events: [state('g', {})] })(request, response), 50)
    stream({ cursor: 'c2', events: [changed('a', '1')] })(request, response)
  })
  const { tim, heard } = listener(t, node)
  await tim.increaseGroupCounter({ groupID: 'g', key: 'a', value: 1 })
  assert.ok(node.received[0].url.startsWith('/v1/watch') && node.received.some(({ url }) => url.startsWith('/v1/groups')))
  await until(() => heard.length === 1)
  assert.deepEqual(heard, ['g.a=1'])
})

test('groups of earlier calls are watched once somebody listens, and no longer than that', async (t) => {
  const node = await FakeNode.start(t, [], (request, response) => {
    if (request.url.startsWith('/v1/groups')) return json({ group: 'g', revision: 2, counters: { a: '1' } })(request, response)
    if (request.url.includes('wait=0ms')) return json({ cursor: 'c1', events: [state('g', {})] })(request, response)
    response.on('close', () => ended++)
    stream({ cursor: 'c2', events: [changed('a', '2')] })(request, response)
  })
  let ended = 0
  let heard = 0
  const tim = TIM.create({ baseURL: node.url })
  t.after(() => tim.destroy())
  await tim.increaseGroupCounter({ groupID: 'g', key: 'a', value: 1 })
  assert.equal(node.received.length, 1)
  const handler = () => heard++
  tim.on(TIM.EVENT.GROUP_COUNTER_UPDATED, handler)
  await until(() => heard === 1)
  tim.off(TIM.EVENT.GROUP_COUNTER_UPDATED, handler)
  await until(() => ended === 1)
})

test('a join that takes too long or is given up is undone', async (t) => {
  const node = await FakeNode.start(t, [], silence)
  const tim = TIM.create({ baseURL: node.url, attemptTimeout: 50 })
  t.after(() => tim.destroy())
  await assert.rejects(tim.joinGroup({ groupID: 'g', timeout: 100 }), { code: 2801, reason: 'timeout' })
  const end = new AbortController()
  const join = tim.joinGroup({ groupID: 'g', signal: end.signal })
  end.abort()
  await assert.rejects(join, { name: 'AbortError', reason: 'aborted' })
  node.otherwise = json({ cursor: 'c', events: [] })
  assert.equal((await tim.joinGroup({ groupID: 'g' })).data.status, TIM.TYPES.JOIN_STATUS_SUCCESS)
})

test('a join after a quit is not undone by the join before it', async (t) => {
  const node = await FakeNode.start(t, [], silence)
  const tim = TIM.create({ baseURL: node.url })
  t.after(() => tim.destroy())
  const first = assert.rejects(tim.joinGroup({ groupID: 'g' }), { reason: 'aborted' })
  await tim.quitGroup('g')
  const second = tim.joinGroup({ groupID: 'g' })
  await first
  node.otherwise = json({ cursor: 'c', events: [state('g', {})] })
  assert.equal((await second).data.status, TIM.TYPES.JOIN_STATUS_SUCCESS)
})

test('quitting in a handler ends what it hears of the group at once', async (t) => {
  const node = await FakeNode.start(t, [
    json({ cursor: 'c1', events: [state('g', {})] }),
    stream({ cursor: 'c2', events: [changed('a', '1'), changed('b', '1')] }),
  ], silence)
  const { tim, heard } = listener(t, node)
  tim.on(TIM.EVENT.GROUP_COUNTER_UPDATED, ({ data }) => void tim.quitGroup(data.groupID))
  await tim.joinGroup({ groupID: 'g' })
  await until(() => heard.length > 0)
  assert.deepEqual(heard, ['g.a=1'])
})

test('a token that counts no longer is told once, and the next goes on from the cursor', async (t) => {
  const body = { type: 'urn:tally:error:unauthenticated', code: 'unauthenticated', status: 401, definite: true }
  const node = await FakeNode.start(t, [
    json({ cursor: 'c1', events: [state('g', {})] }),
    (_, response) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(`id: c2\ndata: ${JSON.stringify({ cursor: 'c2', events: [changed('a', '1')] })}\n\nevent: expired\ndata: ${JSON.stringify(body)}\n\n`),
  ], stream({ cursor: 'c3', events: [changed('a', '2')] }))
  const { tim, heard } = listener(t, node, { userID: 'ann', token: 'old' })
  /** @type {unknown[]} */
  const kicked = []
  tim.on(TIM.EVENT.KICKED_OUT, ({ data }) => {
    kicked.push(data.type)
    assert.equal(node.received.length, 2)
    void tim.login({ userID: 'ann', userSig: 'new' })
  })
  await tim.joinGroup({ groupID: 'g' })
  await until(() => heard.length === 2)
  assert.deepEqual(heard, ['g.a=1', 'g.a=2'])
  assert.deepEqual(kicked, [TIM.TYPES.KICKED_OUT_USERSIG_EXPIRED])
  assert.deepEqual([node.received[2].headers.authorization, node.received[2].body.cursor], ['Bearer new', 'c2'])
})

test('another user connects anew', async (t) => {
  const node = await FakeNode.start(t, [json({ cursor: 'c1', events: [state('g', {})] })], stream({ cursor: 'c2', events: [] }))
  const { tim } = listener(t, node, { userID: 'ann' })
  await tim.joinGroup({ groupID: 'g' })
  await until(() => node.received.length === 2)
  const ready = new Promise((resolve) => tim.on(TIM.EVENT.SDK_READY, resolve))
  const { data } = await tim.login({ userID: 'bob', userSig: 't0ken' })
  assert.deepEqual(data, { actionStatus: 'OK', errorCode: 0, errorInfo: '', userID: 'bob', repeatLogin: false })
  assert.deepEqual(await ready, { name: 'sdkStateReady', data: { userID: 'bob' } })
  await until(() => node.received.length === 3)
  assert.deepEqual(node.received.map(({ headers }) => [headers['x-tally-user'], headers.authorization]), [['ann', undefined], ['ann', undefined], ['bob', 'Bearer t0ken']])
  assert.equal(tim.isReady(), true)
  await tim.logout()
  assert.equal(tim.isReady(), false)
  await assert.rejects(tim.getGroupCounters({ groupID: 'g' }), { code: 2999 })
})

for (const form of /** @type {const} */ (['stream', 'poll'])) {
  test(`a ${form} is hung up when nobody wants it any more, also after garbage was collected`, async (t) => {
    // Node's fetch can forget its signal then, so that an abort closes nothing.
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc')
    let called = false
    let hungUp = false
    const node = await FakeNode.start(t, [json({ cursor: 'c1', events: [state('g', { a: '1' })] }), (request, response) => {
      called = true
      response.on('close', () => { hungUp = true })
      if (form === 'stream') stream({ cursor: 'c2', events: [changed('a', '2')] })(request, response)
    }])
    const { tim, heard } = listener(t, node, { watch: form, attemptTimeout: 15_000 })
    await tim.joinGroup({ groupID: 'g' })
    await until(() => called && (form === 'poll' || heard.length === 1))
    for (let i = 0; i < 10; i++) {
      collect()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await tim.destroy()
    await until(() => hungUp)
  })
}
