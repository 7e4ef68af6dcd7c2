// What every promise of this package rejects with.

// Numbers that the original SDK uses.
export const SDK_NOT_READY = 2999
const NETWORK_ERROR = 2800
const NETWORK_TIMEOUT = 2801
const INVALID_PARAMETER = 10004
const SERVER_ERROR = 10002

/** Numbers of failures to which the server gives none, or which it never sees. */
const NUMBERS = new Map([
  ['not_ready', SDK_NOT_READY],
  ['unreachable', NETWORK_ERROR],
  ['timeout', NETWORK_TIMEOUT],
  ['aborted', 20], // DOMException.ABORT_ERR
  ['unauthenticated', 60004],
  ['invalid_group', 10015],
  ['invalid_user', 10012],
  ['revision_mismatch', 10056],
])

/**
 * @typedef {object} Details
 * @property {number} [code]
 * @property {boolean} [definite]
 * @property {number} [status] of HTTP, absent where there was no reply
 * @property {number} [revision] there where the state machine has decided
 * @property {number} [serverTimeMs]
 * @property {string} [param]
 * @property {number} [operation]
 * @property {string} [requestId]
 * @property {string} [idempotencyKey]
 * @property {number} [retryAfterMs]
 * @property {unknown} [cause]
 */

/**
 * `code` is the original's number, `reason` the word of docs/api.md or one of
 * not_ready, unreachable, timeout, aborted, invalid_user. `definite` says of the
 * whole call that nothing was changed.
 */
export class TallyError extends Error {
  /**
   * @param {string} reason
   * @param {string} message
   * @param {Details} [details]
   */
  constructor(reason, message, details = {}) {
    const { cause, code, definite = true, status, revision, serverTimeMs, param, operation, requestId, idempotencyKey, retryAfterMs } = details
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'TallyError'
    this.reason = reason
    this.code = code ?? NUMBERS.get(reason) ?? ((status ?? 0) >= 500 ? SERVER_ERROR : INVALID_PARAMETER)
    this.definite = definite
    // What does not apply is absent.
    if (status !== undefined) this.status = status
    if (revision !== undefined) this.revision = revision
    if (serverTimeMs !== undefined) this.serverTimeMs = serverTimeMs
    if (param !== undefined) this.param = param
    if (operation !== undefined) this.operation = operation
    if (requestId !== undefined) this.requestId = requestId
    if (idempotencyKey !== undefined) this.idempotencyKey = idempotencyKey
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs
  }

  /**
   * An error of parameters that are not even sent.
   *
   * @param {string} reason
   * @param {string} message
   */
  static refused(reason, message) {
    return new TallyError(reason, message)
  }

  /**
   * The end of a call of which nobody knows whether it changed anything.
   *
   * @param {TallyError} last what the last attempt met
   * @param {string} idempotencyKey
   */
  static outcomeUnknown(last, idempotencyKey) {
    return new TallyError('outcome_unknown', `the change may or may not have been made (${last.message}); repeat the call with this error's idempotencyKey until it is settled, or read`, {
      code: last.status === undefined ? last.code : SERVER_ERROR,
      definite: false,
      idempotencyKey,
      cause: last,
    })
  }
}

/**
 * The error of something that its caller has given up and that changed nothing.
 *
 * @param {unknown} cause the reason of the signal
 */
export function givenUp(cause) {
  if (cause instanceof TallyError) return cause // of this package: why the client ended
  const error = new TallyError('aborted', 'the call was given up', { cause })
  error.name = 'AbortError'
  return error
}
