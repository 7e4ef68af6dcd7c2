/**
 * @typedef {(event: any) => void} Handler is given {name, data}
 */

/** Who wants to hear of what. */
export class Emitter {
  /** @type {Map<unknown, {handler: Handler, context: unknown}[]>} never changed in place, so that handlers may come and go meanwhile */
  #handlers = new Map()
  #failed

  /** @param {(error: unknown, name: string) => void} failed hears what a handler throws */
  constructor(failed) {
    this.#failed = failed
  }

  /**
   * @param {unknown} name
   * @param {Handler} handler
   * @param {unknown} [context] what `this` is for the handler
   */
  on(name, handler, context) {
    if (typeof handler !== 'function') throw new TypeError('the handler is not a function')
    this.#handlers.set(name, [...(this.#handlers.get(name) ?? []), { handler, context }])
  }

  /**
   * @param {unknown} name
   * @param {Handler} handler
   * @param {unknown} [context] without one: whatever its context
   */
  off(name, handler, context) {
    const left = (this.#handlers.get(name) ?? []).filter((each) => each.handler !== handler || (context !== undefined && each.context !== context))
    if (left.length > 0) this.#handlers.set(name, left)
    else this.#handlers.delete(name)
  }

  clear() {
    this.#handlers.clear()
  }

  /** @param {unknown} name */
  has(name) {
    return this.#handlers.has(name)
  }

  /**
   * Calls the handlers in the order in which they came. One that throws keeps
   * nothing from the others.
   *
   * @param {string} name
   * @param {unknown} data
   */
  emit(name, data) {
    for (const { handler, context } of this.#handlers.get(name) ?? []) {
      try {
        handler.call(context, { name, data })
      } catch (error) {
        this.#failed(error, name)
      }
    }
  }
}
