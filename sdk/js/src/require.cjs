// What require() gives: TIM itself, as the original's packages do, with the other
// names on it.
const sdk = { ...require('./index.js').TIM }
module.exports = Object.assign(sdk, { TIM: sdk, TencentCloudChat: sdk, default: sdk })
