// Compile-time checks: code written for the original, and the original's
// signatures (its documentation, and its package's declarations of version 3.4.3).

import sdk, { TIM, TencentCloudChat, TallyError, type Chat, type Int64 } from '../dist/tally.mjs'

// The calls as the original declares them.
interface Original {
  setGroupCounters(options: { groupID: string; counters: any }): Promise<any>
  increaseGroupCounter(options: { groupID: string; key: string; value: number }): Promise<any>
  decreaseGroupCounter(options: { groupID: string; key: string; value: number }): Promise<any>
  getGroupCounters(options: { groupID: string; keyList?: Array<string> }): Promise<any>
  on(eventName: string, handler: (event: any) => void, context?: any): void
  off(eventName: string, handler: (event: any) => void, context?: any): void
}

const chat = TIM.create({ SDKAppID: 1, endpoints: ['http://127.0.0.1:8101'], userID: 'ann', token: 't' })
export const original: Original = chat
export const names: { EVENT: { GROUP_COUNTER_UPDATED: 'onGroupCounterUpdated' } }[] = [sdk, TIM, TencentCloudChat]
export const single: Chat = TencentCloudChat.create({ baseURL: 'http://127.0.0.1:8101' })

// What comes back, as documented and as shipped.
export async function results() {
  const increased = await chat.increaseGroupCounter({ groupID: 'g', key: 'a', value: 2n })
  const { groupID, key, value }: { groupID: string; key: string; value: number | bigint } = increased.data
  const counters: Record<string, Int64> = increased.data.counters
  const all: Record<string, Int64> = (await chat.getGroupCounters({ groupID })).data.counters
  return { key, value, counters, all }
}

chat.on(TIM.EVENT.GROUP_COUNTER_UPDATED, function (event) {
  const { groupID, key, value }: { groupID: string; key: string; value: Int64 } = event.data
  return [groupID, key, value]
})
chat.on(TIM.EVENT.GROUP_COUNTER_DELETED, (event) => {
  // @ts-expect-error a deleted counter has no value
  return event.data.value
})
chat.on('onMessageReceived', (event) => event.data)

chat.joinGroup({ groupID: 'g', signal: new AbortController().signal }).catch((error: unknown) => {
  if (error instanceof TallyError) return [error.code.toFixed(), error.definite, error.idempotencyKey?.length]
})

void chat.batchGroupCounters({ operations: [{ op: 'delete', groupID: 'g' }, { op: 'set', groupID: 'g', counters: { a: 1 } }] })

// @ts-expect-error an operation needs its counters
void chat.batchGroupCounters({ operations: [{ op: 'set', groupID: 'g' }] })
// @ts-expect-error a value is a number or a bigint
void chat.increaseGroupCounter({ groupID: 'g', key: 'a', value: '2' })
// @ts-expect-error a group is needed
void chat.getGroupCounters({})
// @ts-expect-error reads have no idempotency key
void chat.getGroupCounters({ groupID: 'g', idempotencyKey: 'k' })
