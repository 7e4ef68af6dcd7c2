// The types of tally-sdk, written by hand; test/types.ts holds them against the
// original's signatures, and the sources are checked against them.

/** A counter's value: a number where that is exact (up to ±(2^53-1)), else a bigint. */
export type Int64 = number | bigint

export interface CreateOptions {
  /** The original's; nothing here needs it. */
  SDKAppID?: number
  /** The nodes of the cluster, such as `['http://127.0.0.1:8101', ...]`. Any of them answers any call; when one fails, the next is asked. */
  endpoints?: readonly string[]
  /** A single node or proxy, in place of `endpoints`. */
  baseURL?: string
  /** Who calls, where the nodes trust their callers to say so: printable ASCII. */
  userID?: string
  /** A bearer token, where the nodes ask for one. */
  token?: string
  /** Milliseconds for a whole call, with all its attempts; 15,000 unless given. */
  timeout?: number
  /** Milliseconds that one node has for its answer; 5,000 unless given. */
  attemptTimeout?: number
  /** How changes are heard of: `'stream'` unless given, with long polls where streams are held back; `'poll'` for long polls alone. */
  watch?: 'stream' | 'poll'
}

export interface CallOptions {
  /** Gives the call up. After an attempt that may have been applied the error says `outcome_unknown`. */
  signal?: AbortSignal
  /** Milliseconds for this call, with all its attempts: 1 to 2,147,483,647. */
  timeout?: number
}

export interface ChangeOptions extends CallOptions {
  /** The `idempotencyKey` of an `outcome_unknown` error: goes on with that call, which must be repeated unchanged. Each other call makes its own key. */
  idempotencyKey?: string
}

export interface SetGroupCountersOptions extends ChangeOptions {
  groupID: string
  /** Given keys are overwritten or added, other keys stay. */
  counters: Record<string, Int64>
}

export interface ChangeGroupCounterOptions extends ChangeOptions {
  groupID: string
  key: string
  /** By how much; may be negative or 0. */
  value: Int64
}

export interface ChangeGroupCountersOptions extends ChangeOptions {
  groupID: string
  /** By how much each key is changed; all of them or none. */
  counters: Record<string, Int64>
}

export interface GetGroupCountersOptions extends CallOptions {
  groupID: string
  /** Which; none or an empty list: all. Keys that do not exist are left out of the answer. */
  keyList?: string[]
}

export interface DeleteGroupCountersOptions extends ChangeOptions {
  groupID: string
  /** Which, at least one; left out: all of the group's. */
  keyList?: string[]
}

export type BatchOperation =
  | { op: 'set' | 'increase' | 'decrease'; groupID: string; counters: Record<string, Int64> }
  | { op: 'delete'; groupID: string; keyList?: string[] }

export interface BatchGroupCountersOptions extends ChangeOptions {
  /** Up to 1,000, applied in order, all or none. */
  operations: BatchOperation[]
}

/** What every promise resolves with. */
export interface IMResponse<Data> {
  code: 0
  data: Data
}

export interface CountersData {
  groupID: string
  counters: Record<string, Int64>
}

/** What the original's documentation says, and what its code does. */
export interface CounterData extends CountersData {
  key: string
  /** The new value. */
  value: Int64
}

export interface DeletedData {
  groupID: string
  /** The keys that there were. */
  deleted: string[]
}

export interface BatchData {
  /** One for each operation, in order. */
  results: (CountersData | DeletedData)[]
}

export interface UpdatedEvent {
  name: 'onGroupCounterUpdated'
  /** `value` is the new value. */
  data: { groupID: string; key: string; value: Int64 }
}

export interface DeletedEvent {
  name: 'onGroupCounterDeleted'
  data: { groupID: string; key: string }
}

/** The token counts no longer; log in with a new one. Watches then go on where they were. */
export interface KickedOutEvent {
  name: 'kickedOut'
  data: { type: 'userSigExpired' }
}

export interface StateEvent {
  name: 'sdkStateReady' | 'sdkStateNotReady' | 'sdkDestroy'
  data: { userID?: string }
}

export interface Chat {
  setGroupCounters(options: SetGroupCountersOptions): Promise<IMResponse<CountersData>>
  increaseGroupCounter(options: ChangeGroupCounterOptions): Promise<IMResponse<CounterData>>
  decreaseGroupCounter(options: ChangeGroupCounterOptions): Promise<IMResponse<CounterData>>
  /** Always read from the cluster, never from a cache. */
  getGroupCounters(options: GetGroupCountersOptions): Promise<IMResponse<CountersData>>
  /** `getGroupCounters`, as the original's page spells it once. */
  getGroupCounter(options: GetGroupCountersOptions): Promise<IMResponse<CountersData>>

  increaseGroupCounters(options: ChangeGroupCountersOptions): Promise<IMResponse<CountersData>>
  decreaseGroupCounters(options: ChangeGroupCountersOptions): Promise<IMResponse<CountersData>>
  deleteGroupCounters(options: DeleteGroupCountersOptions): Promise<IMResponse<DeletedData>>
  batchGroupCounters(options: BatchGroupCountersOptions): Promise<IMResponse<BatchData>>

  /** Resolves once every later change of the group will be heard of. */
  joinGroup(options: { groupID: string } & CallOptions): Promise<IMResponse<{ status: 'JoinedSuccess' | 'AlreadyInGroup'; group: { groupID: string } }>>
  quitGroup(groupID: string): Promise<IMResponse<{ groupID: string }>>

  on(name: 'onGroupCounterUpdated', handler: (event: UpdatedEvent) => void, context?: unknown): void
  on(name: 'onGroupCounterDeleted', handler: (event: DeletedEvent) => void, context?: unknown): void
  on(name: 'kickedOut', handler: (event: KickedOutEvent) => void, context?: unknown): void
  on(name: 'sdkStateReady' | 'sdkStateNotReady' | 'sdkDestroy', handler: (event: StateEvent) => void, context?: unknown): void
  /** Other events of the original are taken, and never come. */
  on(name: string, handler: (event: any) => void, context?: unknown): void
  /** Without a context: whatever the handler's context. */
  off(name: string, handler: (event: any) => void, context?: unknown): void

  /** Calls as this user from now on; `userSig` is the token. */
  login(options: { userID: string; userSig?: string }): Promise<IMResponse<{ actionStatus: string; errorCode: number; errorInfo: string; userID: string; repeatLogin: boolean }>>
  /** Quits all groups; until the next login calls are rejected with code 2999. */
  logout(): Promise<IMResponse<{}>>
  /** Ends the client for good, with what it has under way. */
  destroy(): Promise<void>
  isReady(): boolean
  /** Up to 2: warnings and errors; 3: errors; 4: nothing. */
  setLogLevel(level: number): void
  /** Does nothing. */
  registerPlugin(plugins?: unknown): void
}

/** What every promise rejects with. */
export interface TallyError extends Error {
  /** The original's number, such as 2996 for too many calls. */
  code: number
  /** The word of docs/api.md, or `not_ready`, `unreachable`, `timeout`, `aborted`, `invalid_user`. */
  reason: string
  /** Whether it is certain that the call has changed nothing. False only for `outcome_unknown`. */
  definite: boolean
  /** With it an `outcome_unknown` call can be repeated until it is settled. */
  idempotencyKey?: string
  /** Of HTTP; absent where there was no reply. */
  status?: number
  /** The log index at which the cluster refused. */
  revision?: number
  serverTimeMs?: number
  /** Which parameter, header or field is wrong. */
  param?: string
  /** Which operation of a batch is wrong, from 0. */
  operation?: number
  requestId?: string
  retryAfterMs?: number
}

export interface SDK {
  readonly EVENT: {
    readonly GROUP_COUNTER_UPDATED: 'onGroupCounterUpdated'
    readonly GROUP_COUNTER_DELETED: 'onGroupCounterDeleted'
    readonly SDK_READY: 'sdkStateReady'
    readonly SDK_NOT_READY: 'sdkStateNotReady'
    readonly SDK_DESTROY: 'sdkDestroy'
    readonly KICKED_OUT: 'kickedOut'
  }
  readonly TYPES: {
    readonly JOIN_STATUS_SUCCESS: 'JoinedSuccess'
    readonly JOIN_STATUS_ALREADY_IN_GROUP: 'AlreadyInGroup'
    readonly KICKED_OUT_USERSIG_EXPIRED: 'userSigExpired'
  }
  /** For `error instanceof TIM.TallyError`. */
  readonly TallyError: abstract new (...of: never) => TallyError
  create(options: CreateOptions): Chat
}

export declare const TIM: SDK
export declare const TencentCloudChat: SDK
export declare const TallyError: SDK['TallyError']
export default TIM
