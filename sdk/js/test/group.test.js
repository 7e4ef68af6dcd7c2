import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GroupState } from '../src/group.js'

/** @typedef {import('../src/group.js').WatchEvent} WatchEvent */

/** @param {Record<string, string>} counters @returns {WatchEvent} */
const reset = (counters) => ({ type: 'reset', group: 'g', revision: 1, counters })
/** @param {string} key @param {string} value @returns {WatchEvent} */
const set = (key, value) => ({ type: 'set', group: 'g', key, value })
/** @param {string} key @returns {WatchEvent} */
const remove = (key) => ({ type: 'delete', group: 'g', key })

/** @type {[string, WatchEvent[], object[]][]} */
const situations = [
  ['the first state is no change', [reset({ a: '1' })], []],
  ['each event is one', [reset({}), set('a', '1'), set('a', '1')], [{ key: 'a', value: 1 }, { key: 'a', value: 1 }]],
  ['a delete', [reset({ a: '1' }), remove('a')], [{ key: 'a', value: undefined }]],
  ['a reset is one change for each key that differs', [reset({ a: '1', b: '2', c: '3' }), reset({ a: '1', b: '5', d: '9223372036854775807' })],
    [{ key: 'b', value: 5 }, { key: 'd', value: 9223372036854775807n }, { key: 'c', value: undefined }]],
  ['a reset to what is known is none', [reset({}), set('a', '1'), set('b', '2'), remove('b'), reset({ a: '1' })],
    [{ key: 'a', value: 1 }, { key: 'b', value: 2 }, { key: 'b', value: undefined }]],
  ['any key is a key', [reset({}), set('__proto__', '1'), reset(JSON.parse('{"__proto__": "2"}'))], [{ key: '__proto__', value: 1 }, { key: '__proto__', value: 2 }]],
]
for (const [name, events, changes] of situations) {
  test(name, () => {
    const group = new GroupState()
    assert.deepEqual(events.flatMap((event) => group.apply(event)), changes)
  })
}
