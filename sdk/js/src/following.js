import { TallyError } from './errors.js'
import { WATCHED_GROUPS_MAX } from './watch.js'

/**
 * Which groups a client watches: those that it has joined and, while somebody
 * listens, those of its calls.
 */
export class Following {
  #watch
  #listening = false
  /** @type {Map<string, symbol>} with what tells one membership from a later one */
  #joined = new Map()
  /** @type {Set<string>} the latest last */
  #called = new Set()

  /** @param {import('./watch.js').Watch} watch */
  constructor(watch) {
    this.#watch = watch
  }

  /**
   * Joins a group. `watched` is resolved once every later change will be heard of;
   * `undo` takes this join back, and no other.
   *
   * @param {string} groupID
   */
  join(groupID) {
    const already = this.#joined.has(groupID)
    if (!already && this.#joined.size >= WATCHED_GROUPS_MAX) {
      throw TallyError.refused('invalid_request', `a client joins ${WATCHED_GROUPS_MAX} groups at most; quit one, or create another client`)
    }
    const membership = this.#joined.get(groupID) ?? Symbol(groupID)
    this.#joined.set(groupID, membership)
    this.#makeRoom()
    const undo = () => {
      if (!already && this.#joined.get(groupID) === membership) this.quit(groupID)
    }
    return { already, watched: this.#watch.add(groupID), undo }
  }

  /** @param {string} groupID */
  quit(groupID) {
    this.#joined.delete(groupID)
    this.#called.delete(groupID)
    this.#watch.remove(groupID)
  }

  quitAll() {
    for (const groupID of [...this.#joined.keys(), ...this.#called]) this.quit(groupID)
  }

  /**
   * Takes note that a call is about groups.
   *
   * @param {string[]} groupIDs
   * @returns {Promise<unknown>} resolved once they are watched, or cannot be; or have no need to
   */
  async called(groupIDs) {
    for (const groupID of groupIDs) {
      this.#called.delete(groupID)
      this.#called.add(groupID)
    }
    this.#makeRoom()
    if (!this.#listening) return
    // Why a group cannot be watched, the call itself will find out.
    return Promise.allSettled(groupIDs.filter((groupID) => this.#called.has(groupID)).map((groupID) => this.#watch.add(groupID)))
  }

  /** @param {boolean} listening whether anybody wants to hear of counters */
  listen(listening) {
    if (listening === this.#listening) return
    this.#listening = listening
    if (listening) void this.called([...this.#called])
    else for (const groupID of this.#called) if (!this.#joined.has(groupID)) this.#watch.remove(groupID)
  }

  /** Forgets the groups of the oldest calls, so that one connection is enough for all. */
  #makeRoom() {
    for (const groupID of this.#called) {
      if (this.#joined.size + this.#called.size <= WATCHED_GROUPS_MAX) return
      this.#called.delete(groupID)
      if (!this.#joined.has(groupID)) this.#watch.remove(groupID)
    }
  }
}
