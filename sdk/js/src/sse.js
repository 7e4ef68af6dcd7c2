// Server-sent events as they come in a response's body (WHATWG HTML, section 9.2.6).

/**
 * @typedef {object} Message
 * @property {string} data
 * @property {string} id
 * @property {string} type
 * @property {number} [retryMs] how long to wait before coming back, when the server has said so
 */

/** Makes messages of pieces of text, wherever those were cut. */
export class MessageReader {
  #rest = ''
  /** @type {string[]} */
  #data = []
  #id = ''
  #type = ''
  /** @type {number | undefined} */
  #retryMs

  /**
   * @param {string} text
   * @returns {Message[]} those that are complete now
   */
  push(text) {
    const messages = []
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/)
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line !== '') {
        this.#field(line)
      } else if (this.#data.length > 0) {
        messages.push({ data: this.#data.join('\n'), id: this.#id, type: this.#type || 'message', retryMs: this.#retryMs })
        this.#data = []
        this.#type = ''
      } else {
        this.#type = ''
      }
    }
    return messages
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'data') this.#data.push(value)
    if (name === 'event') this.#type = value
    if (name === 'id' && !value.includes('\0')) this.#id = value
    if (name === 'retry' && /^[0-9]+$/.test(value)) this.#retryMs = Number(value)
  }
}
