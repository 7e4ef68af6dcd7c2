// One HTTP request to one node, and what its failure means.

import { TallyError } from './errors.js'
import { Scope } from './scope.js'

/**
 * @typedef {object} Request
 * @property {string} method
 * @property {string} path after the endpoint, with the query
 * @property {string} [body] JSON
 * @property {boolean} mutates
 * @property {(reply: any) => boolean} accepts says that a reply answers this request
 *
 * @typedef {Record<string, string>} Headers
 */

/**
 * Sends a request and returns the reply's JSON. Every failure is a TallyError
 * whose `definite` speaks of this attempt.
 *
 * @param {string} endpoint
 * @param {Request} request
 * @param {Headers} headers
 * @param {AbortSignal} signal
 * @param {number} timeoutMs
 * @returns {Promise<any>}
 */
export async function send(endpoint, request, headers, signal, timeoutMs) {
  const scope = new Scope([signal], timeoutMs)
  try {
    const response = await open(endpoint, request, headers, scope)
    try {
      const reply = JSON.parse(await scope.wait(response.text()))
      if (request.accepts(reply)) return reply
    } catch (cause) {
      throw broken(cause, endpoint, request, scope)
    }
    throw new TallyError('unreachable', `${endpoint} answered, but not as a Tally node does`, { definite: !request.mutates })
  } finally {
    scope.end()
  }
}

/**
 * Sends a request and returns the response once it has begun and is a success.
 *
 * @param {string} endpoint
 * @param {Request} request
 * @param {Headers} headers
 * @param {Scope} scope
 * @returns {Promise<Response>}
 */
export async function open(endpoint, request, headers, scope) {
  let response, text
  try {
    response = await scope.wait(fetch(endpoint + request.path, {
      method: request.method,
      headers: request.body === undefined ? headers : { ...headers, 'Content-Type': 'application/json' },
      body: request.body,
      signal: scope.signal,
      cache: 'no-store', // a read is never answered from this side
      redirect: 'error', // nodes never redirect, and a POST would arrive as a GET
    }))
    if (response.ok) return response
    text = await scope.wait(response.text())
  } catch (cause) {
    throw broken(cause, endpoint, request, scope)
  }
  throw refusal(response, text, endpoint, request)
}

/**
 * The failure of an attempt without a whole reply.
 *
 * @param {unknown} cause
 * @param {string} endpoint
 * @param {Request} request
 * @param {Scope} scope
 */
function broken(cause, endpoint, request, scope) {
  const definite = !request.mutates || neverConnected(cause)
  if (scope.timedOut) return new TallyError('timeout', `${endpoint} did not answer in time`, { definite, cause })
  return new TallyError('unreachable', `${endpoint} could not be reached, or broke off`, { definite, cause })
}

// Errors of Node's fetch that come before a byte is sent. Browsers do not say.
const BEFORE_SENDING = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'])

/** @param {any} error of fetch */
function neverConnected(error) {
  const cause = error?.cause
  // Where a name has several addresses, all of them have failed.
  const all = Array.isArray(cause?.errors) && cause.errors.length > 0 ? cause.errors : [cause]
  return all.every((/** @type {any} */ each) => BEFORE_SENDING.has(each?.code))
}

/**
 * The failure that a reply tells: a problem of a node (RFC 9457), or whatever
 * something between here and the nodes has to say.
 *
 * @param {Response} response
 * @param {string} text
 * @param {string} endpoint
 * @param {Request} request
 */
function refusal(response, text, endpoint, request) {
  const { status } = response
  const seconds = Number(response.headers.get('Retry-After') ?? Number.NaN)
  const retryAfterMs = seconds >= 0 ? seconds * 1000 : undefined
  const problem = parseProblem(text, retryAfterMs)
  if (problem) return problem
  const definite = !request.mutates || (status < 500 && ![408, 425, 429].includes(status))
  return new TallyError('unreachable', `${endpoint} answered ${status}, but not as a Tally node does`, { status, definite, retryAfterMs })
}

/**
 * Reads a node's problem; undefined if it is none.
 *
 * @param {string} text
 * @param {number} [retryAfterMs]
 */
export function parseProblem(text, retryAfterMs) {
  let problem
  try {
    problem = JSON.parse(text)
  } catch {
    return undefined
  }
  const { type, code, detail, title, status, errorCode, definite, revision, serverTimeMs, param, operation, requestId } = problem ?? {}
  if (typeof code !== 'string' || type !== `urn:tally:error:${code}` || typeof status !== 'number') return undefined
  return new TallyError(code, detail ?? title ?? code, {
    code: errorCode, status, definite: definite === true, revision, serverTimeMs, param, operation, requestId, retryAfterMs,
  })
}
