// The shared watch under random schedules: groups come and go, changes are made,
// connections break anywhere. The hub here keeps cursors as docs/api.md describes
// them. TALLY_SEED repeats a schedule.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TIM } from '../src/index.js'
import { FakeNode, until } from './fakenode.js'

/** A group is one counter that goes up by 1, so that its values number its changes. */
class Hub {
  /** @type {string[]} the group of each change */
  log = []
  /** @type {Set<() => void>} */
  waiting = new Set()

  /** @param {string} group */
  value(group, end = this.log.length) {
    return this.log.slice(0, end).filter((each) => each === group).length
  }

  /** @param {string} group */
  change(group) {
    this.log.push(group)
    for (const wake of this.waiting) wake()
  }

  /**
   * @param {string[]} groups
   * @param {string | undefined} cursor
   */
  reply(groups, cursor) {
    const { after, covered } = cursor ? JSON.parse(cursor) : { after: 0, covered: [] }
    const events = groups.filter((group) => !covered.includes(group)).map((group) => /** @type {object} */ ({ type: 'reset', group, revision: this.log.length, counters: { n: String(this.value(group)) } }))
    for (let i = after; i < this.log.length; i++) {
      const group = this.log[i]
      if (groups.includes(group) && covered.includes(group)) events.push({ type: 'increase', group, key: 'n', value: String(this.value(group, i + 1)), revision: i + 1 })
    }
    return { cursor: JSON.stringify({ after: this.log.length, covered: groups }), events }
  }
}

/**
 * Answers as a node does, but breaks off whenever chance says so.
 *
 * @param {Hub} hub
 * @param {() => number} chance
 * @returns {import('./fakenode.js').Answer}
 */
function unreliable(hub, chance) {
  return ({ url, headers, body }, response) => {
    const groups = body.groups.map((/** @type {{group: string}} */ { group }) => group)
    const streams = headers.accept === 'text/event-stream'
    let cursor = body.cursor
    const send = (/** @type {string} */ text) => {
      if (chance() >= 0.15) return response.write(text)
      hub.waiting.delete(more)
      response.write(text.slice(0, 1 + Math.floor(chance() * (text.length - 1))), () => response.destroy())
    }
    const more = () => {
      const reply = hub.reply(groups, cursor)
      if (reply.events.length === 0 && !url.includes('wait=0ms')) return
      if (streams) {
        cursor = reply.cursor
        return send(`id: x\ndata: ${JSON.stringify(reply)}\n\n`)
      }
      hub.waiting.delete(more)
      send(JSON.stringify(reply))
      response.end()
    }
    if (chance() < 0.1) return response.destroy()
    response.writeHead(200, { 'Content-Type': streams ? 'text/event-stream' : 'application/json' })
    if (streams) response.write('retry: 2\n\n')
    hub.waiting.add(more)
    response.on('close', () => hub.waiting.delete(more))
    more()
  }
}

/** @param {number} seed @returns {() => number} from 0 to 1 */
function chanceOf(seed) {
  let state = seed >>> 0
  return () => {
    // Marsaglia's xorshift32.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

const seeds = process.env.TALLY_SEED ? [Number(process.env.TALLY_SEED)] : Array.from({ length: 12 }, () => 1 + Math.floor(Math.random() * 2 ** 31))
for (const [i, seed] of seeds.entries()) {
  const form = i % 3 === 2 ? 'poll' : 'stream'
  test(`${form}, TALLY_SEED=${seed}`, async (t) => {
    const chance = chanceOf(seed)
    const hub = new Hub()
    const node = await FakeNode.start(t, [], unreliable(hub, chance))
    const tim = TIM.create({ endpoints: [node.url, `${node.url}/other`], watch: form })
    tim.setLogLevel(4)
    t.after(() => tim.destroy())

    /** @typedef {{heard: number[], joined: number | undefined}} Stay joined is the value when the promise of the join was resolved */
    /** @type {Map<string, Stay>} */
    const stays = new Map()
    /** @type {string[]} groups heard of after they were quit */
    const late = []
    tim.on(TIM.EVENT.GROUP_COUNTER_UPDATED, ({ data }) => {
      const stay = stays.get(data.groupID)
      if (stay) stay.heard.push(Number(data.value))
      else late.push(data.groupID)
    })
    const check = (/** @type {Stay} */ { heard, joined }) => {
      heard.forEach((value, i) => assert.equal(value, heard[0] + i, `heard ${heard}`))
      if (joined !== undefined && heard.length > 0) assert.ok(heard[0] <= joined + 1, `joined at ${joined}, heard ${heard}`)
    }

    const pick = () => 'abcde'[Math.floor(chance() * 5)]
    for (let step = 0; step < 400; step++) {
      const groupID = pick()
      const what = chance()
      if (what < 0.5) {
        hub.change(groupID)
      } else if (what < 0.6 && !stays.has(groupID)) {
        /** @type {Stay} */
        const stay = { heard: [], joined: undefined }
        stays.set(groupID, stay)
        tim.joinGroup({ groupID }).then(() => (stay.joined = hub.value(groupID)), (error) => assert.notEqual(stays.get(groupID), stay, error))
      } else if (what < 0.68 && stays.has(groupID)) {
        check(/** @type {Stay} */ (stays.get(groupID)))
        stays.delete(groupID)
        void tim.quitGroup(groupID)
      } else if (what < 0.9) {
        await new Promise((resolve) => setTimeout(resolve, chance() * 4))
      }
    }
    await until(() => [...stays.values()].every(({ joined }) => joined !== undefined))
    for (const groupID of stays.keys()) hub.change(groupID)
    await until(() => [...stays].every(([groupID, { heard }]) => heard.at(-1) === hub.value(groupID)))
    for (const stay of stays.values()) check(stay)
    assert.deepEqual(late, [])
  })
}
