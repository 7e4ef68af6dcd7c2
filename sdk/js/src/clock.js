/**
 * The time from which idempotency keys are made: that of this device, corrected
 * by what the cluster says when it refuses a key for its time.
 */
export class Clock {
  #offsetMs = 0

  /** @returns {number} Unix milliseconds */
  now() {
    return Date.now() + this.#offsetMs
  }

  /** @param {number} serverTimeMs what the cluster's clock shows now */
  correct(serverTimeMs) {
    this.#offsetMs = serverTimeMs - Date.now()
  }
}
