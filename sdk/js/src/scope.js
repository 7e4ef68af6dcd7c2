// How long something may go on.

/** Why a scope whose time is over was aborted. */
export class TimeOver extends Error {}

/**
 * A signal that is aborted when one of others is, or when the time is over. It
 * must be ended, or the others keep it.
 */
export class Scope {
  #controller = new AbortController()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer
  #end = new AbortController()

  /**
   * @param {(AbortSignal | undefined)[]} signals
   * @param {number} ms
   */
  constructor(signals, ms) {
    for (const signal of signals) {
      if (signal?.aborted) this.abort(signal.reason)
      signal?.addEventListener('abort', () => this.abort(signal.reason), { signal: this.#end.signal })
    }
    this.extend(ms)
  }

  get signal() {
    return this.#controller.signal
  }

  /** True when its time, or that of what it is part of, was over. */
  get timedOut() {
    return this.signal.reason instanceof TimeOver
  }

  /** @param {unknown} [reason] */
  abort(reason) {
    this.#controller.abort(reason)
  }

  /**
   * Begins the time anew.
   *
   * @param {number} ms
   */
  extend(ms) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.abort(new TimeOver(`${ms} ms are over`)), ms)
  }

  /**
   * Waits for a promise, and no longer than this lasts, whether or not what is
   * behind the promise heeds the signal. Rejects with the signal's reason then.
   *
   * @template T
   * @param {Promise<T>} promise
   * @returns {Promise<T>}
   */
  wait(promise) {
    const { signal } = this
    return new Promise((resolve, reject) => {
      const stop = () => reject(signal.reason)
      if (signal.aborted) stop()
      signal.addEventListener('abort', stop)
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
    })
  }

  end() {
    clearTimeout(this.#timer)
    this.#end.abort()
  }
}

/**
 * Waits, no longer than the signal allows.
 *
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}

/**
 * How long to wait before the next attempt. The first round over the nodes
 * hardly waits: another node may well answer. Half of each wait is random.
 *
 * @param {number} attempts made so far
 * @param {number} endpoints how many nodes there are
 * @returns {number} milliseconds
 */
export function backoff(attempts, endpoints) {
  const round = Math.floor((attempts - 1) / endpoints)
  const longest = Math.min(2000, attempts < endpoints ? 20 : 100 * 2 ** round)
  return longest / 2 + (Math.random() * longest) / 2
}
