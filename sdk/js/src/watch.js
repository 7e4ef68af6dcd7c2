import { TallyError } from './errors.js'
import { GroupState } from './group.js'
import { open, parseProblem, send } from './request.js'
import { Scope, backoff, pause } from './scope.js'
import { MessageReader } from './sse.js'

/**
 * @typedef {import('./request.js').Request} Request
 * @typedef {import('./group.js').Change} Change
 *
 * @typedef {object} WatchConfig
 * @property {import('./endpoints.js').Endpoints} endpoints
 * @property {() => import('./request.js').Headers} headers the caller's identity now
 * @property {(groupID: string, change: Change) => void} notify hears every change, in order
 * @property {() => void} unauthenticated hears that the nodes do not know the caller, or no longer
 * @property {(text: string) => void} warn
 * @property {number} [silenceMs] how long a stream may be silent
 * @property {number} [pollMs] how long a long poll waits
 * @property {number} [attemptMs] how long one node has for the beginning of its answer
 * @property {'stream' | 'poll'} [form] stream unless said otherwise
 */

/** How many groups one connection can be for. */
export const WATCHED_GROUPS_MAX = 1000

// Streams send something every 10 s.
const SILENCE_MS = 15_000
const POLL_MS = 25_000
const ATTEMPT_MS = 5_000
// How long to leave a node alone that refuses the caller, who has to log in anew.
const REFUSED_MS = 10_000
// A stream that shows nothing though its connection is there may be held back by
// something in between. After so many in a row, long polls are used, and after so
// many of those a stream is tried again.
const STALLS_MAX = 2
const POLLS_MAX = 10

/** A group on its way to being watched, or watched. */
class Member {
  state = new GroupState()
  wanted = true
  /** The cursor covers it: every change from here on will be heard of. */
  covered = false
  /** @type {{resolve: () => void, reject: (error: unknown) => void}[]} who waits for that */
  waiting = []
}

/**
 * One connection on which a client hears of all its groups. Groups come and go;
 * the cursor goes from one request to the next, whichever node that is sent to, so
 * that each change is heard of once and in order.
 *
 * The one loop in #run owns the cursor. Whoever changes the groups interrupts what
 * the loop is waiting for.
 */
export class Watch {
  #config
  /** @type {Map<string, Member>} */
  #members = new Map()
  /** @type {string | undefined} */
  #cursor
  /** @type {AbortController | undefined} what the loop waits for now; undefined when there is no loop */
  #turn
  #admitting = false
  #closed = false
  #failures = 0
  #stalls = 0
  #polls = 0
  #retryMs = 1000

  /** @param {WatchConfig} config */
  constructor(config) {
    this.#config = config
  }

  /**
   * Watches a group.
   *
   * @param {string} groupID
   * @returns {Promise<void>} resolved once every later change will be heard of, rejected if the group is refused or given up
   */
  add(groupID) {
    if (this.#closed) return Promise.reject(new TallyError('aborted', 'the client was closed'))
    let member = this.#members.get(groupID)
    if (member?.wanted && member.covered) return Promise.resolve()
    if (!member) {
      this.#members.set(groupID, (member = new Member()))
      if (!this.#admitting) this.#interrupt()
    } else if (!member.wanted) {
      // The request under way is made without it, and its reply would end the cover.
      member.wanted = true
      this.#interrupt()
    }
    this.#start()
    if (member.covered) return Promise.resolve()
    const { waiting } = member
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
  }

  /** @param {string} groupID */
  remove(groupID) {
    const member = this.#members.get(groupID)
    if (!member?.wanted) return
    // It stays while the cursor covers it: if it comes back before the next
    // reply, that cursor goes on where it was.
    member.wanted = false
    this.#giveUp(member, new TallyError('aborted', `${groupID} is not to be watched any more`))
    if (!member.covered) this.#members.delete(groupID)
    this.#interrupt()
  }

  /** Connects anew: the caller is another one now. */
  restart() {
    this.#failures = 0
    this.#interrupt()
  }

  close() {
    this.#closed = true
    for (const member of this.#members.values()) this.#giveUp(member, new TallyError('aborted', 'the client was closed'))
    this.#members.clear()
    this.#interrupt()
  }

  /**
   * @param {Member} member
   * @param {TallyError} error
   */
  #giveUp(member, error) {
    for (const { reject } of member.waiting.splice(0)) reject(error)
  }

  #interrupt() {
    this.#turn?.abort()
  }

  #start() {
    if (!this.#turn && !this.#closed) {
      this.#turn = new AbortController()
      void this.#run()
    }
  }

  async #run() {
    while (!this.#closed && this.#wanted().length > 0) {
      const turn = (this.#turn = new AbortController())
      try {
        if (this.#uncovered().length > 0) await this.#admit(turn.signal)
        else if (this.#config.form === 'poll' || this.#polls > 0) await this.#poll(this.#wanted(), this.#config.pollMs ?? POLL_MS, turn.signal)
        else await this.#stream(this.#wanted(), turn.signal)
        this.#failures = 0
      } catch (error) {
        if (!turn.signal.aborted) await this.#failed(error, turn.signal)
      }
    }
    this.#turn = undefined
    this.#cursor = undefined
    this.#members.clear()
  }

  #wanted() {
    return [...this.#members].filter(([, member]) => member.wanted).map(([groupID]) => groupID)
  }

  #uncovered() {
    return this.#wanted().filter((groupID) => !this.#members.get(groupID)?.covered)
  }

  /**
   * @param {unknown} error
   * @param {AbortSignal} signal
   */
  async #failed(error, signal) {
    const { count } = this.#config.endpoints
    let patience = 0
    if (!(error instanceof TallyError)) {
      this.#config.warn(`watch: ${error}`) // a reply that makes no sense
    } else if (isRefused(error)) {
      this.#config.warn(`watch: ${error.message}`)
      if (error.param === 'cursor') this.#cursor = undefined // each group begins with its state again
      else patience = REFUSED_MS
      if (error.status === 401) this.#config.unauthenticated()
    } else if (this.#failures >= count) {
      patience = Math.min(error.retryAfterMs ?? 0, 5000)
    }
    this.#failures++
    await pause(Math.max(backoff(this.#failures, count), patience), signal)
  }

  /**
   * Makes the cursor cover the groups that it does not cover yet. One that is
   * refused is nothing to the others.
   *
   * @param {AbortSignal} signal
   */
  async #admit(signal) {
    this.#admitting = true
    try {
      const groups = this.#wanted()
      const fresh = this.#uncovered()
      const covered = groups.filter((groupID) => !fresh.includes(groupID))
      try {
        return await this.#poll(groups, 0, signal)
      } catch (error) {
        if (!isRefused(error) || error.param === 'cursor') throw error
        if (fresh.length === 1) return this.#refuse(fresh[0], error)
      }
      for (const groupID of fresh) {
        try {
          await this.#poll([...covered, groupID], 0, signal)
          covered.push(groupID)
        } catch (error) {
          if (!isRefused(error) || error.param === 'cursor') throw error
          this.#refuse(groupID, error)
        }
      }
    } finally {
      this.#admitting = false
    }
  }

  /**
   * @param {string} groupID
   * @param {TallyError} error
   */
  #refuse(groupID, error) {
    const member = this.#members.get(groupID)
    if (!member) return
    this.#members.delete(groupID)
    this.#giveUp(member, error)
  }

  /**
   * @param {string[]} groups
   * @param {number} waitMs
   * @param {AbortSignal} signal
   */
  async #poll(groups, waitMs, signal) {
    const endpoint = this.#config.endpoints.current
    const request = this.#request(groups, `?int64=string&wait=${waitMs}ms`)
    const attemptMs = this.#config.attemptMs ?? ATTEMPT_MS
    try {
      // A node adds up to a sixteenth to the time.
      const reply = await send(endpoint, request, this.#config.headers(), signal, waitMs + waitMs / 16 + attemptMs)
      this.#take(reply, groups, signal)
      if (this.#polls > 0 && waitMs > 0) this.#polls--
    } catch (error) {
      if (!signal.aborted && !isRefused(error)) this.#config.endpoints.failed(endpoint)
      throw error
    }
  }

  /**
   * @param {string[]} groups
   * @param {AbortSignal} signal
   */
  async #stream(groups, signal) {
    const endpoint = this.#config.endpoints.current
    const scope = new Scope([signal], this.#config.attemptMs ?? ATTEMPT_MS)
    try {
      const headers = { ...this.#config.headers(), Accept: 'text/event-stream' }
      const response = await open(endpoint, this.#request(groups, '?int64=string'), headers, scope)
      if (!response.body || !response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        this.#polls = POLLS_MAX
        return
      }
      await this.#readStream(response.body, groups, scope, signal)
      if (signal.aborted) return
      // The node has gone, and all its other watchers are looking for one too.
      this.#config.endpoints.failed(endpoint)
      await pause(Math.random() * this.#retryMs, signal)
    } catch (error) {
      if (scope.timedOut && ++this.#stalls >= STALLS_MAX) this.#polls = POLLS_MAX
      if (!signal.aborted && !isRefused(error)) this.#config.endpoints.failed(endpoint)
      throw error
    } finally {
      scope.abort()
      scope.end()
    }
  }

  /**
   * Reads a stream until it ends or breaks off.
   *
   * @param {ReadableStream<Uint8Array>} body
   * @param {string[]} groups
   * @param {Scope} scope
   * @param {AbortSignal} signal
   */
  async #readStream(body, groups, scope, signal) {
    const chunks = body.getReader()
    try {
      await this.#readChunks(chunks, groups, scope, signal)
    } finally {
      // The scope's abort alone may close nothing: Node's fetch forgets its signal
      // when garbage is collected, and the open stream would keep the process.
      chunks.cancel().catch(() => {})
    }
  }

  /**
   * @param {ReadableStreamDefaultReader<Uint8Array>} chunks
   * @param {string[]} groups
   * @param {Scope} scope
   * @param {AbortSignal} signal
   */
  async #readChunks(chunks, groups, scope, signal) {
    const decoder = new TextDecoder()
    const reader = new MessageReader()
    for (;;) {
      scope.extend(this.#config.silenceMs ?? SILENCE_MS)
      let chunk
      try {
        chunk = await scope.wait(chunks.read())
      } catch (cause) {
        if (scope.timedOut) throw new TallyError('timeout', 'the stream has gone silent', { cause })
        return
      }
      if (chunk.done) return
      for (const message of reader.push(decoder.decode(chunk.value, { stream: true }))) {
        const expired = message.type === 'expired' && parseProblem(message.data)
        if (expired) throw expired
        this.#retryMs = message.retryMs ?? this.#retryMs
        const reply = JSON.parse(message.data)
        if (!isWatchReply(reply)) throw new Error('a message without a cursor or events')
        this.#take(reply, groups, signal)
        this.#failures = 0
        this.#stalls = 0
      }
    }
  }

  /**
   * @param {string[]} groups
   * @param {string} query
   * @returns {Request}
   */
  #request(groups, query) {
    const body = JSON.stringify({ groups: groups.map((group) => ({ group })), cursor: this.#cursor })
    return { method: 'POST', path: `/v1/watch${query}`, body, mutates: false, accepts: isWatchReply }
  }

  /**
   * Goes on to the position of a reply: tells its events and notes what the
   * cursor covers now.
   *
   * @param {{cursor: string, events: import('./group.js').WatchEvent[]}} reply
   * @param {string[]} groups those that the request named
   * @param {AbortSignal} signal
   */
  #take(reply, groups, signal) {
    if (signal.aborted) return // another request, from the old cursor, will bring it again
    const { cursor, events } = reply
    this.#cursor = cursor
    this.#cover(new Set(groups))
    for (const event of events) {
      const member = this.#members.get(event.group)
      if (!member) continue
      for (const change of member.state.apply(event)) if (member.wanted) this.#config.notify(event.group, change)
    }
  }

  /** @param {Set<string>} groups those that the cursor covers */
  #cover(groups) {
    for (const [groupID, member] of this.#members) {
      if (!groups.has(groupID)) {
        if (!member.wanted) this.#members.delete(groupID)
        member.covered = false
        member.state = new GroupState()
        continue
      }
      member.covered = true
      for (const { resolve } of member.waiting.splice(0)) resolve()
    }
  }
}

/** @param {any} reply */
function isWatchReply(reply) {
  return typeof reply?.cursor === 'string' && Array.isArray(reply.events)
}

/**
 * Says that a node does not accept the request as it stands.
 *
 * @param {unknown} error
 * @returns {error is TallyError & {status: number}}
 */
function isRefused(error) {
  return error instanceof TallyError && error.status !== undefined && error.status >= 400 && error.status < 500
}
