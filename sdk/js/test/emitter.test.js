import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Emitter } from '../src/emitter.js'

test('handlers hear in order, with their context, and one that throws stops nobody', () => {
  /** @type {unknown[]} */
  const heard = []
  const emitter = new Emitter((error, name) => heard.push([name, String(error)]))
  emitter.on('e', () => { throw new Error('no') })
  emitter.on('e', /** @this {unknown} */ function ({ name, data }) { heard.push([this, name, data]) }, 'context')
  emitter.emit('e', 1)
  emitter.emit('other', 2)
  assert.deepEqual(heard, [['e', 'Error: no'], ['context', 'e', 1]])
})

test('off takes one context away, or all', () => {
  /** @type {unknown[]} */
  const heard = []
  const emitter = new Emitter(() => {})
  /** @this {unknown} */
  function handler() { heard.push(this) }
  for (const context of ['a', 'b', 'c']) emitter.on('e', handler, context)
  emitter.off('e', handler, 'b')
  emitter.emit('e', 0)
  assert.deepEqual(heard, ['a', 'c'])
  emitter.off('e', handler)
  emitter.emit('e', 0)
  assert.deepEqual(heard, ['a', 'c'])
  assert.equal(emitter.has('e'), false)
})

test('handlers may come and go meanwhile', () => {
  let heard = 0
  const emitter = new Emitter(() => {})
  const second = () => heard++
  emitter.on('e', () => emitter.off('e', second))
  emitter.on('e', second)
  emitter.emit('e', 0)
  assert.equal(heard, 1)
  emitter.emit('e', 0)
  assert.equal(heard, 1)
})

test('what is no function is refused at once', () => {
  assert.throws(() => new Emitter(() => {}).on('e', /** @type {any} */ (undefined)), TypeError)
})
