// What callers give, checked as far as a node could not do it: lengths and
// characters are the nodes' to judge.

import { TallyError } from './errors.js'
import { encodeInt64 } from './int64.js'

/**
 * @param {unknown} groupID
 * @returns {string} the beginning of the group's paths
 */
export function groupPath(groupID) {
  checkGroup(groupID)
  return `/v1/groups/${encode('invalid_group', groupID)}`
}

/**
 * @param {unknown} groupID
 * @returns {asserts groupID is string}
 */
export function checkGroup(groupID) {
  // As a segment of a path, one or two dots would be taken away on the way.
  if (typeof groupID !== 'string' || groupID === '' || groupID === '.' || groupID === '..') {
    throw TallyError.refused('invalid_group', 'groupID is not a string with characters in it, other than . and ..')
  }
  encode('invalid_group', groupID)
}

/**
 * @param {unknown} key
 * @returns {asserts key is string}
 */
export function checkKey(key) {
  if (typeof key !== 'string' || key === '') throw TallyError.refused('invalid_key', 'key is not a string with characters in it')
  encode('invalid_key', key)
}

/** The longest time that a timer of JavaScript can wait; it takes more for none. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1

/**
 * @param {unknown} ms
 * @returns {ms is number}
 */
export function isTimeout(ms) {
  return typeof ms === 'number' && ms >= 1 && ms <= TIMEOUT_MAX_MS
}

/** @param {unknown} ms */
export function checkTimeout(ms) {
  if (!isTimeout(ms)) throw TallyError.refused('invalid_request', `timeout is not a number of milliseconds from 1 to ${TIMEOUT_MAX_MS}`)
}

/**
 * @param {string} what
 * @param {unknown} list
 * @returns {asserts list is unknown[]}
 */
export function checkArray(what, list) {
  if (!Array.isArray(list)) throw TallyError.refused('invalid_request', `${what} is not an array`)
}

/**
 * @param {string} reason what is wrong with text that cannot be sent in a header
 * @param {string} what
 * @param {unknown} text
 * @returns {string}
 */
export function checkHeader(reason, what, text) {
  if (typeof text === 'string' && /^[!-~]([ -~]*[!-~])?$/.test(text)) return text
  throw TallyError.refused(reason, `${what} is not a string of printable ASCII characters`)
}

/**
 * @param {string[] | undefined} keyList
 * @returns {string} the query that names the keys of a delete, or none for all
 */
export function keyQuery(keyList) {
  if (keyList === undefined) return ''
  // An empty list would ask for what no list asks for: all.
  checkKeyList(keyList)
  return '?' + keyList.map((key) => `key=${encode('invalid_key', key)}`).join('&')
}

/**
 * Refuses what a delete does not know: a slip in keyList would delete everything.
 *
 * @param {object} options
 * @param {string[]} known
 */
export function checkDelete(options, known) {
  const other = Object.keys(options).find((name) => !known.includes(name))
  if (other !== undefined) throw TallyError.refused('invalid_request', `a delete has no ${JSON.stringify(other)}; name the counters in keyList, or leave it out to delete all`)
}

/** @param {unknown} keyList */
function checkKeyList(keyList) {
  if (!Array.isArray(keyList) || keyList.length === 0) throw TallyError.refused('invalid_request', 'keyList names no key; leave it out to delete all')
  keyList.forEach(checkKey)
}

/**
 * @param {unknown} counters
 * @returns {Record<string, string>} as it is sent
 */
export function encodeCounters(counters) {
  if (typeof counters !== 'object' || counters === null || Array.isArray(counters)) throw TallyError.refused('invalid_request', 'counters is not an object of keys and values')
  const entries = Object.entries(counters)
  if (entries.length === 0) throw TallyError.refused('invalid_request', 'counters is empty; name at least one key')
  return Object.fromEntries(entries.map(([key, value]) => [encode('invalid_key', key) && key, encodeInt64(value, `the value of ${JSON.stringify(key)}`)]))
}

/**
 * @param {import('../types/index.d.ts').BatchOperation} operation
 * @param {number} index
 * @returns {{op: string, group: string, counters?: object, keys?: string[], all?: boolean}} as it is sent
 */
export function encodeOperation(operation, index) {
  try {
    checkGroup(operation?.groupID)
    const { op, groupID: group } = operation
    if (op !== 'delete') return { op, group, counters: encodeCounters(operation.counters) }
    checkDelete(operation, ['op', 'groupID', 'keyList'])
    if (operation.keyList === undefined) return { op, group, all: true }
    checkKeyList(operation.keyList)
    return { op, group, keys: operation.keyList }
  } catch (error) {
    if (error instanceof TallyError) error.operation = index
    throw error
  }
}

/**
 * @param {string} reason what is wrong with text that has half a character
 * @param {string} text
 */
function encode(reason, text) {
  try {
    return encodeURIComponent(text)
  } catch {
    throw TallyError.refused(reason, `${JSON.stringify(text)} is no text: it has half of a surrogate pair`)
  }
}
