import { TallyError, givenUp } from './errors.js'
import { send } from './request.js'
import { Scope, backoff, pause } from './scope.js'
import { mintUUIDv7 } from './uuidv7.js'

/**
 * @typedef {import('./request.js').Request} Request
 * @typedef {import('./request.js').Headers} Headers
 *
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal]
 * @property {number} [timeout] milliseconds for the whole call
 * @property {string} [idempotencyKey] of an earlier call whose outcome is unknown
 */

// How often a call takes a new key because of its time. Once corrects the clock;
// the second is for one that was set in between.
const NEW_KEYS_MAX = 2

/**
 * Brings one call to its end: over several nodes and attempts, under one
 * idempotency key. docs/api.md, "After a time-out", has the rules.
 */
export class Caller {
  #endpoints
  #clock
  #attemptMs

  /**
   * @param {import('./endpoints.js').Endpoints} endpoints
   * @param {import('./clock.js').Clock} clock
   * @param {number} attemptMs how long one node has for its answer
   */
  constructor(endpoints, clock, attemptMs) {
    this.#endpoints = endpoints
    this.#clock = clock
    this.#attemptMs = attemptMs
  }

  /**
   * @param {Request} request
   * @param {Headers} headers the caller's identity, the same for every attempt: a key belongs to its caller
   * @param {Scope} scope of the whole call
   * @param {string} [idempotencyKey]
   * @returns {Promise<any>} the reply
   */
  async call(request, headers, scope, idempotencyKey) {
    const attempts = new Attempts(request, idempotencyKey ?? (request.mutates ? mintUUIDv7(this.#clock.now()) : undefined), idempotencyKey !== undefined)
    while (!scope.signal.aborted) {
      const endpoint = this.#endpoints.current
      try {
        return await send(endpoint, request, attempts.headers(headers), scope.signal, this.#attemptMs)
      } catch (error) {
        if (!(error instanceof TallyError)) throw error
        if (error.serverTimeMs !== undefined && error.reason === 'idempotency_key_expired') this.#clock.correct(error.serverTimeMs)
        switch (attempts.failed(error)) {
          case 'settled':
            throw error
          case 'unknown':
            throw attempts.outcome()
          case 'new key':
            attempts.renew(mintUUIDv7(this.#clock.now()))
            continue
          case 'again':
            if (!scope.signal.aborted) this.#endpoints.failed(endpoint)
            await pause(attempts.wait(this.#endpoints.count), scope.signal)
        }
      }
    }
    throw scope.timedOut ? attempts.outcome() : attempts.aborted(scope.signal.reason)
  }
}

/** What is known of a call from the attempts made so far. */
class Attempts {
  #request
  #key
  #count = 0
  #newKeys = 0
  /** @type {TallyError | undefined} */
  #last
  // True when an attempt under this key may have changed something. From then on
  // a failure of a later attempt says nothing about the call.
  #uncertain

  /**
   * @param {Request} request
   * @param {string | undefined} key
   * @param {boolean} uncertain the key is from an earlier call
   */
  constructor(request, key, uncertain) {
    this.#request = request
    this.#key = key
    this.#uncertain = uncertain
  }

  /** @param {Headers} identity */
  headers(identity) {
    return this.#key === undefined ? identity : { ...identity, 'Idempotency-Key': this.#key }
  }

  /**
   * Takes note of a failed attempt and says what it means for the call.
   *
   * @param {TallyError} failure
   * @returns {'settled' | 'unknown' | 'new key' | 'again'}
   */
  failed(failure) {
    this.#count++
    this.#last = failure
    const earlier = this.#uncertain
    this.#uncertain ||= !failure.definite
    const { reason, revision, status } = failure
    if (reason === 'idempotency_key_expired') {
      // An earlier attempt may have been applied and forgotten since.
      if (earlier) return 'unknown'
      return failure.serverTimeMs !== undefined && this.#newKeys++ < NEW_KEYS_MAX ? 'new key' : 'settled'
    }
    // The state machine has decided, and that holds for all attempts.
    if (revision !== undefined) return 'settled'
    if (status === undefined || status >= 500 || !failure.definite) return 'again'
    // Refused before it came so far: that is about this attempt alone.
    return earlier ? 'again' : 'settled'
  }

  /** @param {string} key */
  renew(key) {
    this.#key = key
  }

  /**
   * @param {number} endpoints how many there are
   * @returns {number} milliseconds until the next attempt
   */
  wait(endpoints) {
    const { status, retryAfterMs = 0 } = this.#last ?? {}
    const wait = backoff(this.#count, endpoints)
    // A node that is busy speaks of itself, and there are others first. A limit
    // of the caller holds everywhere.
    return status === 429 || this.#count >= endpoints ? Math.max(wait, Math.min(retryAfterMs, 5000)) : wait
  }

  /** The error of a call whose time is over. */
  outcome() {
    const last = this.#last ?? new TallyError('timeout', 'the time was over before the first attempt')
    return this.#uncertain && this.#key !== undefined ? TallyError.outcomeUnknown(last, this.#key) : last
  }

  /**
   * The error of a call that its caller has given up.
   *
   * @param {unknown} cause
   */
  aborted(cause) {
    const error = givenUp(cause)
    if (!this.#uncertain || this.#key === undefined) return error
    return Object.assign(TallyError.outcomeUnknown(error, this.#key), { name: error.name })
  }
}
