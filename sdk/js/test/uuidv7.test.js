import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mintUUIDv7 } from '../src/uuidv7.js'

test('a key carries its time, version and variant', () => {
  // The time of the example in RFC 9562, appendix A.6.
  assert.match(mintUUIDv7(0x017f22e279b0), /^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.match(mintUUIDv7(2 ** 48 - 1), /^ffffffff-ffff-7/)
})

test('keys of one millisecond differ', () => {
  assert.equal(new Set(Array.from({ length: 10_000 }, () => mintUUIDv7(1))).size, 10_000)
})
