// The same for require().

import TIM = require('../dist/tally.cjs')

const chat: TIM.Chat = TIM.create({ SDKAppID: 1, baseURL: 'http://127.0.0.1:8101' })
const same: typeof TIM.create = TIM.TencentCloudChat.create
const value: TIM.Int64 = 2n
void chat.increaseGroupCounter({ groupID: 'g', key: 'a', value }).catch((error: TIM.TallyError) => error.reason)
export = same
