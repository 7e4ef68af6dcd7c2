// Idempotency keys: UUID version 7 (RFC 9562, section 5.7).
//
//    0                   1                   2                   3
//   +---------------------------------------------------------------+
//   |                    Unix time in milliseconds                  |
//   +-------------------------------+-------+-----------------------+
//   |      ... 48 bits of it        |   7   |        random         |
//   +---+---------------------------+-------+-----------------------+
//   | 2 |                         random                            |
//   +---+-----------------------------------------------------------+
//   |                             random                            |
//   +---------------------------------------------------------------+

/**
 * @param {number} timeMs Unix milliseconds
 * @returns {string}
 */
export function mintUUIDv7(timeMs) {
  // getRandomValues, because randomUUID is missing on pages without TLS.
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, Math.floor(timeMs / 2 ** 32))
  view.setUint32(2, timeMs % 2 ** 32)
  bytes[6] = (bytes[6] & 0x0f) | 0x70
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
