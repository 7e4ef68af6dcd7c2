// What require('tally-sdk') gives.
import type * as sdk from './tally.mjs' with { 'resolution-mode': 'import' }

declare const TIM: sdk.SDK & { readonly TIM: sdk.SDK; readonly TencentCloudChat: sdk.SDK; readonly default: sdk.SDK }
declare namespace TIM {
  export type Int64 = sdk.Int64
  export type CreateOptions = sdk.CreateOptions
  export type Chat = sdk.Chat
  export type TallyError = sdk.TallyError
  export type BatchOperation = sdk.BatchOperation
  export type UpdatedEvent = sdk.UpdatedEvent
  export type DeletedEvent = sdk.DeletedEvent
}
export = TIM
