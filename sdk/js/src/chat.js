import { Caller } from './caller.js'
import { Clock } from './clock.js'
import { Emitter } from './emitter.js'
import { Endpoints } from './endpoints.js'
import { SDK_NOT_READY, TallyError, givenUp } from './errors.js'
import { Following } from './following.js'
import { decodeCounters } from './int64.js'
import { EVENT, TYPES } from './names.js'
import { checkArray, checkDelete, checkGroup, checkHeader, checkKey, checkTimeout, encodeCounters, encodeOperation, groupPath, isTimeout, keyQuery } from './parameters.js'
import { Scope } from './scope.js'
import { Watch } from './watch.js'

/**
 * @typedef {import('../types/index.d.ts').CallOptions} CallOptions
 * @typedef {import('../types/index.d.ts').ChangeOptions} ChangeOptions
 * @typedef {import('../types/index.d.ts').Int64} Int64
 * @typedef {import('./request.js').Request} Request
 */

const TIMEOUT_MS = 15_000
const ATTEMPT_MS = 5_000
// How long a change waits for the watch that is to show it.
const WATCH_FIRST_MS = 5_000

/** One user's client, with the original's calls. index.d.ts describes them. */
export class Chat {
  #caller
  #emitter
  #watch
  #following
  #timeoutMs
  /** @type {import('./request.js').Headers} who calls, as the nodes are told */
  #identity = {}
  #ready = true
  #loggedIn = false
  /** Whether this user has been told that the token counts no longer. */
  #toldExpired = false
  #logLevel = 2
  #destroyed = false
  /** @type {Set<Scope>} the calls that are under way */
  #calls = new Set()

  /** @param {import('../types/index.d.ts').CreateOptions} options */
  constructor(options) {
    const { endpoints, baseURL, userID, token, timeout = TIMEOUT_MS, attemptTimeout = ATTEMPT_MS, watch } = options ?? {}
    if (!isTimeout(timeout) || !isTimeout(attemptTimeout)) throw new TypeError('timeout and attemptTimeout are milliseconds, from 1 to 2147483647')
    const nodes = new Endpoints(endpoints ?? (baseURL === undefined ? [] : [baseURL]))
    this.#identity = identityOf(userID, token)
    this.#timeoutMs = timeout
    this.#caller = new Caller(nodes, new Clock(), attemptTimeout)
    this.#emitter = new Emitter((error, name) => this.#log(3, `a handler of ${name} has thrown`, error))
    this.#watch = new Watch({
      endpoints: nodes,
      headers: () => this.#identity,
      notify: (groupID, change) => this.#notify(groupID, change),
      unauthenticated: () => this.#kickedOut(),
      warn: (text) => this.#log(2, text),
      attemptMs: attemptTimeout,
      form: watch,
    })
    this.#following = new Following(this.#watch)
  }

  // --- counters, as the original has them ---

  /** @param {{groupID: string, counters: Record<string, Int64>} & ChangeOptions} options */
  async setGroupCounters(options) {
    return this.#changeMany('PUT', 'counters', options)
  }

  /** @param {{groupID: string, key: string, value: Int64} & ChangeOptions} options */
  async increaseGroupCounter(options) {
    return this.#changeOne('increase', options)
  }

  /** @param {{groupID: string, key: string, value: Int64} & ChangeOptions} options */
  async decreaseGroupCounter(options) {
    return this.#changeOne('decrease', options)
  }

  /** @param {{groupID: string, keyList?: string[]} & CallOptions} options */
  async getGroupCounters(options) {
    const { groupID, keyList } = options ?? {}
    const path = `${groupPath(groupID)}/counters?int64=string`
    if (keyList !== undefined) checkArray('keyList', keyList)
    this.#requireReady()
    const scope = this.#begin(options)
    void this.#following.called([groupID])
    try {
      const { counters } = await this.#caller.call({ method: 'GET', path, mutates: false, accepts: (reply) => areCounters(reply, groupID) }, this.#identity, scope)
      // All of the group is read, which is little, so that no list is too long for a URL.
      const wanted = keyList?.length ? new Set(keyList) : undefined
      return respond({ groupID, counters: Object.fromEntries(Object.entries(decodeCounters(counters)).filter(([key]) => !wanted || wanted.has(key))) })
    } finally {
      this.#end(scope)
    }
  }

  /** @param {{groupID: string, keyList?: string[]} & CallOptions} options */
  async getGroupCounter(options) {
    return this.getGroupCounters(options)
  }

  // --- counters, beyond the original ---

  /** @param {{groupID: string, counters: Record<string, Int64>} & ChangeOptions} options */
  async increaseGroupCounters(options) {
    return this.#changeMany('POST', 'increase', options)
  }

  /** @param {{groupID: string, counters: Record<string, Int64>} & ChangeOptions} options */
  async decreaseGroupCounters(options) {
    return this.#changeMany('POST', 'decrease', options)
  }

  /** @param {{groupID: string, keyList?: string[]} & ChangeOptions} options */
  async deleteGroupCounters(options) {
    const { groupID, keyList } = options ?? {}
    const path = `${groupPath(groupID)}/counters${keyQuery(keyList)}`
    checkDelete(options, ['groupID', 'keyList', 'signal', 'timeout', 'idempotencyKey'])
    const { deleted } = await this.#change([groupID], { method: 'DELETE', path, mutates: true, accepts: (reply) => areDeleted(reply, groupID) }, options)
    return respond({ groupID, deleted })
  }

  /** @param {{operations: import('../types/index.d.ts').BatchOperation[]} & ChangeOptions} options */
  async batchGroupCounters(options) {
    const { operations } = options ?? {}
    checkArray('operations', operations)
    const sent = operations.map(encodeOperation)
    const body = JSON.stringify({ operations: sent })
    const groupIDs = [...new Set(sent.map(({ group }) => group))]
    const accepts = (/** @type {any} */ { results }) => results.length === sent.length && sent.every(({ op, group }, i) => (op === 'delete' ? areDeleted : areCounters)(results[i], group))
    const { results } = await this.#change(groupIDs, { method: 'POST', path: '/v1/batch?int64=string', body, mutates: true, accepts }, options)
    return respond({ results: results.map(decodeResult) })
  }

  // --- groups ---

  /** @param {{groupID: string} & CallOptions} options */
  async joinGroup(options) {
    const { groupID } = options ?? {}
    checkGroup(groupID)
    this.#requireReady()
    const scope = this.#begin(options)
    const { already, watched, undo } = this.#following.join(groupID)
    try {
      await scope.wait(watched)
    } catch (error) {
      undo()
      if (scope.timedOut) throw new TallyError('timeout', 'the group could not be watched in time')
      throw scope.signal.aborted ? givenUp(error) : error
    } finally {
      this.#end(scope)
    }
    return respond({ status: already ? TYPES.JOIN_STATUS_ALREADY_IN_GROUP : TYPES.JOIN_STATUS_SUCCESS, group: { groupID } })
  }

  /** @param {string} groupID */
  async quitGroup(groupID) {
    checkGroup(groupID)
    this.#following.quit(groupID)
    return respond({ groupID })
  }

  // --- events ---

  /**
   * @param {string} name
   * @param {import('./emitter.js').Handler} handler
   * @param {unknown} [context]
   */
  on(name, handler, context) {
    this.#emitter.on(name, handler, context)
    this.#following.listen(this.#listening())
  }

  /**
   * @param {string} name
   * @param {import('./emitter.js').Handler} handler
   * @param {unknown} [context]
   */
  off(name, handler, context) {
    this.#emitter.off(name, handler, context)
    this.#following.listen(this.#listening())
  }

  // --- the calls around them ---

  /** @param {{userID: string, userSig?: string}} options */
  async login(options) {
    const { userID, userSig } = options ?? {}
    if (this.#destroyed) throw notReady()
    if (userID === undefined) throw TallyError.refused('invalid_user', 'userID is missing')
    this.#identity = identityOf(userID, userSig)
    const repeatLogin = this.#loggedIn
    this.#ready = this.#loggedIn = true
    this.#toldExpired = false
    this.#watch.restart()
    // Later, so that whoever asks for the event once the promise is resolved hears of it.
    setTimeout(() => this.#ready && this.#emitter.emit(EVENT.SDK_READY, { userID }), 0)
    return respond({ actionStatus: 'OK', errorCode: 0, errorInfo: '', userID, repeatLogin })
  }

  async logout() {
    this.#ready = this.#loggedIn = false
    this.#identity = {}
    this.#following.quitAll()
    this.#emitter.emit(EVENT.SDK_NOT_READY, {})
    return respond({})
  }

  async destroy() {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#ready = false
    for (const scope of this.#calls) scope.abort(notReady())
    this.#watch.close()
    this.#emitter.emit(EVENT.SDK_DESTROY, {})
    this.#emitter.clear()
  }

  isReady() {
    return this.#ready
  }

  /** @param {number} level */
  setLogLevel(level) {
    this.#logLevel = level
  }

  /** Code that plugs something into the original goes on working; there is nothing to plug in here. */
  registerPlugin() {}

  // --- how a call is made ---

  /**
   * @param {'increase' | 'decrease'} operation
   * @param {{groupID: string, key: string, value: Int64} & ChangeOptions} options
   */
  async #changeOne(operation, options) {
    const { groupID, key, value, ...rest } = options ?? {}
    checkKey(key)
    const { data } = await this.#changeMany('POST', operation, { ...rest, groupID, counters: Object.fromEntries([[key, value]]) })
    return respond({ groupID, key, value: data.counters[key], counters: data.counters })
  }

  /**
   * @param {'POST' | 'PUT'} method
   * @param {string} operation
   * @param {{groupID: string, counters: Record<string, Int64>} & ChangeOptions} options
   */
  async #changeMany(method, operation, options) {
    const { groupID, counters } = options ?? {}
    const path = `${groupPath(groupID)}/${operation}?int64=string`
    const sent = encodeCounters(counters)
    const body = JSON.stringify({ counters: sent })
    const accepts = (/** @type {any} */ reply) => areCounters(reply, groupID) && Object.keys(sent).every((key) => Object.hasOwn(reply.counters, key))
    const reply = await this.#change([groupID], { method, path, body, mutates: true, accepts }, options)
    return respond({ groupID, counters: decodeCounters(reply.counters) })
  }

  /**
   * Makes a change once its groups are watched, so that its own events are heard
   * of; but does not wait long for that.
   *
   * @param {string[]} groupIDs
   * @param {Request} request
   * @param {ChangeOptions} options
   */
  async #change(groupIDs, request, options) {
    this.#requireReady()
    if (options.idempotencyKey !== undefined) checkHeader('invalid_request', 'idempotencyKey', options.idempotencyKey)
    const identity = this.#identity
    const scope = this.#begin(options)
    const first = new Scope([scope.signal], WATCH_FIRST_MS)
    try {
      await first.wait(this.#following.called(groupIDs)).catch(() => {})
      return await this.#caller.call(request, identity, scope, options.idempotencyKey)
    } finally {
      first.end()
      this.#end(scope)
    }
  }

  /**
   * Begins a call, which must be ended.
   *
   * @param {CallOptions | undefined} options
   */
  #begin(options) {
    if (options?.timeout !== undefined) checkTimeout(options.timeout)
    const scope = new Scope([options?.signal], options?.timeout ?? this.#timeoutMs)
    this.#calls.add(scope)
    return scope
  }

  /** @param {Scope} scope */
  #end(scope) {
    scope.end()
    this.#calls.delete(scope)
  }

  #requireReady() {
    if (!this.#ready) throw notReady()
  }

  #listening() {
    return this.#emitter.has(EVENT.GROUP_COUNTER_UPDATED) || this.#emitter.has(EVENT.GROUP_COUNTER_DELETED)
  }

  /**
   * @param {string} groupID
   * @param {import('./group.js').Change} change
   */
  #notify(groupID, { key, value }) {
    if (value === undefined) this.#emitter.emit(EVENT.GROUP_COUNTER_DELETED, { groupID, key })
    else this.#emitter.emit(EVENT.GROUP_COUNTER_UPDATED, { groupID, key, value })
  }

  /** Tells of a token that counts no longer, which a caller who only watches does not find out otherwise. */
  #kickedOut() {
    if (this.#toldExpired) return
    this.#toldExpired = true
    this.#emitter.emit(EVENT.KICKED_OUT, { type: TYPES.KICKED_OUT_USERSIG_EXPIRED })
  }

  /**
   * @param {number} level 2 for warnings, 3 for errors
   * @param {...unknown} parts
   */
  #log(level, ...parts) {
    if (level >= this.#logLevel) (level >= 3 ? console.error : console.warn)('tally:', ...parts)
  }
}

/**
 * What the original's promises resolve with.
 *
 * @template T
 * @param {T} data
 * @returns {{code: 0, data: T}}
 */
function respond(data) {
  return { code: 0, data }
}

/**
 * Says that a reply gives counters of the group. What it says of others, or half,
 * is no answer.
 *
 * @param {any} reply
 * @param {string} groupID
 */
function areCounters(reply, groupID) {
  return reply.group === groupID && Object.values(reply.counters).every((text) => typeof text === 'string' && /^-?[0-9]+$/.test(text))
}

/**
 * @param {any} reply
 * @param {string} groupID
 */
function areDeleted(reply, groupID) {
  return reply.group === groupID && Array.isArray(reply.deleted)
}

/** @param {{group: string, counters?: Record<string, string>, deleted?: string[]}} result of one operation of a batch */
function decodeResult({ group: groupID, counters, deleted }) {
  return counters ? { groupID, counters: decodeCounters(counters) } : { groupID, deleted: deleted ?? [] }
}

/**
 * @param {string | undefined} userID
 * @param {string | undefined} token
 */
function identityOf(userID, token) {
  /** @type {import('./request.js').Headers} */
  const headers = {}
  if (userID !== undefined) headers['X-Tally-User'] = checkHeader('invalid_user', 'userID', userID)
  if (token) headers.Authorization = `Bearer ${checkHeader('invalid_user', 'the token', token)}`
  return headers
}

function notReady() {
  return new TallyError('not_ready', 'the client was destroyed or is logged out; log in first', { code: SDK_NOT_READY })
}
