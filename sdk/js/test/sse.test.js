import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageReader } from '../src/sse.js'

const text = 'retry: 20\n\n: a comment\nid: 1\ndata: {"a":\ndata: 1}\n\nevent: progress\r\nid: 2\r\ndata:x\r\n\r\nid: 3\rdata\r\revent: nothing\n\ndata: ü\n\ndata: unfinished\n'
const messages = [
  { data: '{"a":\n1}', id: '1', type: 'message', retryMs: 20 },
  { data: 'x', id: '2', type: 'progress', retryMs: 20 },
  { data: '', id: '3', type: 'message', retryMs: 20 },
  { data: 'ü', id: '3', type: 'message', retryMs: 20 },
]

test('messages are the same wherever the stream is cut', () => {
  for (let a = 0; a <= text.length; a++) {
    for (const b of [a, Math.min(a + 1, text.length), text.length]) {
      const reader = new MessageReader()
      assert.deepEqual([text.slice(0, a), text.slice(a, b), text.slice(b)].flatMap((piece) => reader.push(piece)), messages, `cut at ${a} and ${b}`)
    }
  }
})
