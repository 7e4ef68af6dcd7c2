import { decodeInt64 } from './int64.js'

/**
 * @typedef {{type: 'reset', group: string, revision: number, counters: Record<string, string>}} ResetEvent
 * @typedef {{type: 'set' | 'increase' | 'decrease', group: string, key: string, value: string}} UpdateEvent
 * @typedef {{type: 'delete', group: string, key: string}} DeleteEvent
 * @typedef {ResetEvent | UpdateEvent | DeleteEvent} WatchEvent as docs/api.md describes it, with int64=string
 *
 * @typedef {{key: string, value: number | bigint | undefined}} Change to a value, or undefined where the counter is gone
 */

/**
 * A watched group: what its counters were after the last event, so that the
 * state that comes in place of events can be told as changes.
 */
export class GroupState {
  /** @type {Map<string, string> | undefined} undefined before the first reset */
  #counters

  /**
   * @param {WatchEvent} event
   * @returns {Change[]} what the group's watchers are told; nothing for its first state
   */
  apply(event) {
    if (event.type === 'reset') return this.#reset(new Map(Object.entries(event.counters)))
    if (event.type === 'delete') {
      this.#counters?.delete(event.key)
      return [{ key: event.key, value: undefined }]
    }
    this.#counters?.set(event.key, event.value)
    return [{ key: event.key, value: decodeInt64(event.value) }]
  }

  /** @param {Map<string, string>} counters */
  #reset(counters) {
    const before = this.#counters
    this.#counters = counters
    if (!before) return []
    /** @type {Change[]} */
    const changes = []
    for (const [key, text] of counters) if (before.get(key) !== text) changes.push({ key, value: decodeInt64(text) })
    for (const key of before.keys()) if (!counters.has(key)) changes.push({ key, value: undefined })
    return changes
  }
}
