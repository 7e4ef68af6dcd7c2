// The globals of the <script> file.
import type { SDK } from './tally.mjs'

declare global {
  const TIM: SDK
  const TencentCloudChat: SDK
}
export {}
