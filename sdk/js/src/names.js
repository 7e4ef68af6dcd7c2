// Words that the original's code uses, with the original's values; all but
// GROUP_COUNTER_DELETED, for which it has none.

export const EVENT = Object.freeze({
  GROUP_COUNTER_UPDATED: 'onGroupCounterUpdated',
  GROUP_COUNTER_DELETED: 'onGroupCounterDeleted',
  SDK_READY: 'sdkStateReady',
  SDK_NOT_READY: 'sdkStateNotReady',
  SDK_DESTROY: 'sdkDestroy',
  KICKED_OUT: 'kickedOut',
})

export const TYPES = Object.freeze({
  JOIN_STATUS_SUCCESS: 'JoinedSuccess',
  JOIN_STATUS_ALREADY_IN_GROUP: 'AlreadyInGroup',
  KICKED_OUT_USERSIG_EXPIRED: 'userSigExpired',
})
