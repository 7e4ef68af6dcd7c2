import { Chat } from './chat.js'
import { TallyError } from './errors.js'
import { EVENT, TYPES } from './names.js'

/**
 * What the original's code imports, under both of its names.
 *
 * @type {import('../types/index.d.ts').SDK}
 */
export const TIM = Object.freeze({
  EVENT,
  TYPES,
  TallyError,
  create: (/** @type {import('../types/index.d.ts').CreateOptions} */ options) => new Chat(options),
})

export const TencentCloudChat = TIM
export { TallyError }
export default TIM
