// What a <script> gives: the original's two names.
import { TIM, TencentCloudChat } from './index.js'

Object.assign(globalThis, { TIM, TencentCloudChat })
