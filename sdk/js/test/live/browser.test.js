// The client in a real browser, on pages of other origins than the nodes'.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { after, before, describe, test } from 'node:test'
import { chromium } from 'playwright-core'
import { until } from '../fakenode.js'
import { Cluster, missingForCluster, skipFor } from './cluster.js'

const executablePath = findBrowser()
const missing = missingForCluster() ?? (executablePath ? undefined : 'there is no Chromium; name one in TALLY_CHROMIUM')
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

describe('a browser', skipFor(missing), () => {
  /** @type {Cluster} */
  let cluster
  /** @type {import('playwright-core').Browser} */
  let browser
  before(async () => {
    cluster = await Cluster.start()
    browser = await chromium.launch({ executablePath, args: flags }) // in a new directory of its own
  })
  after(async () => {
    await browser?.close()
    cluster?.end()
  })

  /**
   * Opens a page that has the client as a script or as a module.
   *
   * @param {import('node:test').TestContext} t
   */
  async function open(t, { host = '127.0.0.1', path = '/script' } = {}) {
    const site = http.createServer(serve).listen(0, host)
    await once(site, 'listening')
    t.after(() => site.close())
    const page = await browser.newPage()
    t.after(() => page.close())
    /** @type {string[]} */
    const faults = []
    page.on('pageerror', (error) => faults.push(String(error)))
    await page.goto(`http://${host}:${/** @type {import('node:net').AddressInfo} */ (site.address()).port}${path}`)
    await page.waitForFunction('globalThis.TIM')
    return { page, faults }
  }

  for (const path of ['/script', '/module']) {
    test(`a page (${path}) counts and watches while its node is killed`, async (t) => {
      const total = 400
      const groupID = `browser${path}`
      const { page, faults } = await open(t, { path })
      /** @type {string | undefined} the node that the page asks now */
      let asked
      page.on('request', (request) => (asked = new URL(request.url()).origin))
      await page.evaluate(inPage.begin, { endpoints: cluster.endpoints, groupID })
      const counting = page.evaluate(inPage.count, { groupID, total })
      await page.waitForFunction(`heard.length >= ${total / 4}`)
      const node = Object.entries(cluster.nodes).find(([, url]) => url === asked)?.[0] ?? ''
      await cluster.run('kill', node)
      t.after(() => cluster.run('start', node))

      const { acknowledged, counters } = await counting
      assert.deepEqual([acknowledged, counters], [total, { likes: total }])
      await page.waitForFunction(`heard.length >= ${total}`)
      assert.deepEqual(await page.evaluate('heard'), Array.from({ length: total }, (_, i) => i + 1))
      assert.notEqual(asked, cluster.nodes[node])
      assert.deepEqual(faults, [])
    })
  }

  test('a page has exact 64 bits, and calls that are given up', async (t) => {
    const { page } = await open(t)
    assert.deepEqual(await page.evaluate(inPage.exact, cluster.endpoints), {
      value: '9223372036854775806',
      type: 'bigint',
      outOfRange: ['out_of_range', 10004, true],
      aborted: ['AbortError', 'aborted', true],
    })
  })

  test('a page of an origin that is not allowed cannot read', async (t) => {
    const { page } = await open(t, { host: '127.0.0.2' })
    const [name, code, definite] = await page.evaluate(inPage.refused, cluster.endpoints)
    // A busy machine may still be at an attempt when the time is over.
    assert.ok((name === 'unreachable' && code === 2800) || (name === 'timeout' && code === 2801), `${name} ${code}`)
    assert.equal(definite, true)
  })
})

// What runs in the page; the client is a global there.
const inPage = {
  /** @param {{endpoints: string[], groupID: string}} _ */
  async begin({ endpoints, groupID }) {
    const page = /** @type {any} */ (globalThis)
    page.tim = page.TIM.create({ SDKAppID: 1, endpoints, timeout: 30_000 })
    page.heard = []
    page.tim.on(page.TIM.EVENT.GROUP_COUNTER_UPDATED, (/** @type {any} */ { data }) => page.heard.push(data.value))
    await page.tim.joinGroup({ groupID })
  },
  /** @param {{groupID: string, total: number}} _ */
  async count({ groupID, total }) {
    const { tim } = /** @type {any} */ (globalThis)
    let begun = 0
    let acknowledged = 0
    await Promise.all([1, 2, 3].map(async () => {
      while (begun++ < total) {
        await tim.increaseGroupCounter({ groupID, key: 'likes', value: 1 })
        acknowledged++
      }
    }))
    return { acknowledged, counters: (await tim.getGroupCounters({ groupID })).data.counters }
  },
  /** @param {string[]} endpoints */
  async exact(endpoints) {
    const { TIM } = /** @type {any} */ (globalThis)
    const tim = TIM.create({ SDKAppID: 1, endpoints })
    await tim.setGroupCounters({ groupID: 'exact', counters: { a: 2n ** 63n - 2n } })
    const { a } = (await tim.getGroupCounters({ groupID: 'exact' })).data.counters
    const failure = (/** @type {any} */ e) => e
    const tooFar = await tim.increaseGroupCounter({ groupID: 'exact', key: 'a', value: 2 }).catch(failure)
    const aborted = await tim.getGroupCounters({ groupID: 'exact', signal: AbortSignal.abort() }).catch(failure)
    return { value: String(a), type: typeof a, outOfRange: [tooFar.reason, tooFar.code, tooFar.definite], aborted: [aborted.name, aborted.reason, aborted.definite] }
  },
  /** @param {string[]} endpoints */
  async refused(endpoints) {
    const { TIM } = /** @type {any} */ (globalThis)
    const tim = TIM.create({ SDKAppID: 1, endpoints, timeout: 1000 })
    return tim.getGroupCounters({ groupID: 'g' }).then(() => 'read', (/** @type {any} */ e) => [e.reason, e.code, e.definite])
  },
}

/** @type {Record<string, [type: string, text: () => string | Buffer]>} */
const files = {
  '/script': ['text/html', () => '<!doctype html><meta charset="utf-8"><title>script</title><script src="/tally.js"></script>'],
  '/module': ['text/html', () => '<!doctype html><meta charset="utf-8"><title>module</title><script type="module">import TIM from "/tally.mjs"; globalThis.TIM = TIM</script>'],
  '/tally.js': ['text/javascript', () => readFileSync(new URL('../../dist/tally.js', import.meta.url))],
  '/tally.mjs': ['text/javascript', () => readFileSync(new URL('../../dist/tally.mjs', import.meta.url))],
}

/** @type {http.RequestListener} */
function serve(request, response) {
  const file = files[request.url ?? '']
  if (!file) response.writeHead(404).end()
  else response.writeHead(200, { 'Content-Type': `${file[0]}; charset=utf-8` }).end(file[1]())
}

function findBrowser() {
  for (const name of [process.env.TALLY_CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome']) {
    if (!name) continue
    try {
      return execFileSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' }).trim()
    } catch {
      continue
    }
  }
  return undefined
}
