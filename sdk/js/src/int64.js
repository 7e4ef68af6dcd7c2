// Counters are signed 64-bit integers, and a JavaScript number is exact only up
// to 2^53. On the wire they are decimal strings; here they are numbers where
// those are exact, else bigints.

import { TallyError } from './errors.js'

const MIN = -(2n ** 63n)
const MAX = 2n ** 63n - 1n

/**
 * Returns the value as it is sent. A number beyond ±(2^53-1) is refused, since it
 * may have been rounded before it came here.
 *
 * @param {unknown} value
 * @param {string} what names the value for the error
 * @returns {string}
 */
export function encodeInt64(value, what) {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (typeof value === 'bigint' && value >= MIN && value <= MAX) return String(value)
  throw TallyError.refused('invalid_value', `${what} is ${describe(value)}; give a whole number, or a bigint beyond ±(2^53-1), of 64 bits at most`)
}

/**
 * Reads a value from the wire.
 *
 * @param {string} text
 * @returns {number | bigint}
 */
export function decodeInt64(text) {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : BigInt(text)
}

/**
 * Reads an object of values from the wire. Its keys may be anything, also
 * __proto__, which becomes a property like any other.
 *
 * @param {Record<string, string>} counters
 * @returns {Record<string, number | bigint>}
 */
export function decodeCounters(counters) {
  return Object.fromEntries(Object.entries(counters).map(([key, text]) => [key, decodeInt64(text)]))
}

/** @param {unknown} value */
function describe(value) {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40))
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : typeof value
}
