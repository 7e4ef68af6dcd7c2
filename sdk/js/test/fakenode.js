// A node that misbehaves as told. Each request is answered by the next function of
// a script; the real cluster is for everything else.

import http from 'node:http'
import { once } from 'node:events'

/**
 * @typedef {object} Received
 * @property {string} method
 * @property {string} url
 * @property {http.IncomingHttpHeaders} headers
 * @property {any} body parsed, undefined if there was none
 *
 * @typedef {(request: Received, response: http.ServerResponse) => void} Answer
 */

export class FakeNode {
  /** @type {Received[]} */
  received = []
  /** @type {Answer[]} */
  script
  /** @type {Answer | undefined} */
  otherwise
  #server

  /**
   * @param {Answer[]} script
   * @param {Answer} [otherwise] when the script is over
   */
  constructor(script = [], otherwise) {
    this.script = script
    this.otherwise = otherwise
    this.#server = http.createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request) text += chunk
      const received = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body: text ? JSON.parse(text) : undefined }
      this.received.push(received)
      const answer = this.script.shift() ?? this.otherwise
      if (answer) answer(received, response)
      else problem('internal', { status: 500, detail: 'the script is over' })(received, response)
    })
  }

  /**
   * @param {import('node:test').TestContext} t
   * @param {Answer[]} script
   * @param {Answer} [otherwise]
   */
  static async start(t, script, otherwise) {
    const node = new FakeNode(script, otherwise)
    node.#server.listen(0, '127.0.0.1')
    await once(node.#server, 'listening')
    t.after(() => node.stop())
    return node
  }

  get url() {
    return `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (this.#server.address()).port}`
  }

  /** The idempotency keys, in order. */
  get keys() {
    return this.received.map(({ headers }) => /** @type {string | undefined} */ (headers['idempotency-key']))
  }

  stop() {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

/** @param {unknown} body @returns {Answer} */
export function json(body) {
  return (_, response) => response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body) + '\n')
}

/**
 * A failure as a node reports it.
 *
 * @param {string} code
 * @param {{status: number, retryAfter?: number} & Record<string, unknown>} fields
 * @returns {Answer}
 */
export function problem(code, { status, retryAfter, ...fields }) {
  const body = { type: `urn:tally:error:${code}`, title: code, status, code, definite: true, ...fields }
  return (_, response) =>
    response.writeHead(status, { 'Content-Type': 'application/problem+json', ...(retryAfter !== undefined && { 'Retry-After': String(retryAfter) }) }).end(JSON.stringify(body))
}

/** @type {Answer} takes the request and breaks the connection */
export const reset = (_, response) => response.destroy()

/** @type {Answer} takes the request and says nothing */
export const silence = () => {}

/**
 * Waits until something is so.
 *
 * @param {() => boolean} condition
 */
export async function until(condition) {
  const deadline = Date.now() + 20_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/**
 * A stream that sends these and stays open.
 *
 * @param {...{cursor: string, events: unknown[]}} messages
 * @returns {Answer}
 */
export function stream(...messages) {
  return (_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write('retry: 10\n\n')
    for (const message of messages) response.write(`id: ${message.cursor}\ndata: ${JSON.stringify(message)}\n\n`)
  }
}
