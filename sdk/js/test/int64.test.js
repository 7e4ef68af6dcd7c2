import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeCounters, decodeInt64, encodeInt64 } from '../src/int64.js'

test('values are sent exactly, or refused', () => {
  for (const [value, text] of /** @type {[number | bigint, string][]} */ ([
    [0, '0'],
    [-0, '0'],
    [-7, '-7'],
    [9007199254740991, '9007199254740991'],
    [9007199254740992n, '9007199254740992'],
    [2n ** 63n - 1n, '9223372036854775807'],
    [-(2n ** 63n), '-9223372036854775808'],
  ])) assert.equal(encodeInt64(value, 'it'), text)
  for (const value of [1.5, NaN, Infinity, 2 ** 53, 2n ** 63n, -(2n ** 63n) - 1n, '1', null, undefined, {}]) {
    assert.throws(() => encodeInt64(value, 'it'), { reason: 'invalid_value', code: 10004, definite: true })
  }
})

test('values are numbers where those are exact, else bigints', () => {
  for (const [text, value] of /** @type {[string, number | bigint][]} */ ([
    ['0', 0],
    ['-9007199254740991', -9007199254740991],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['9007199254740993', 9007199254740993n],
    ['-9223372036854775808', -9223372036854775808n],
  ])) assert.strictEqual(decodeInt64(text), value)
})

test('any key is a key', () => {
  const counters = decodeCounters(JSON.parse('{"__proto__": "5", "constructor": "6"}'))
  assert.deepEqual(Object.entries(counters), [['__proto__', 5], ['constructor', 6]])
})
