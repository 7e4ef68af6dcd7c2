// A real cluster on ports of its own, and what the tests that need one share.

import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const root = fileURLToPath(new URL('../../../../', import.meta.url))
const script = path.join(root, 'scripts', 'cluster.sh')

/** Three nodes, run by scripts/cluster.sh. */
export class Cluster {
  /** @type {Record<string, string>} URLs by node ID */
  nodes
  #environment
  #directory
  #ended = false

  /**
   * @param {string} directory
   * @param {number} port
   */
  constructor(directory, port) {
    this.#directory = directory
    this.#environment = { ...process.env, TALLY_CLUSTER_DIR: directory, TALLY_HTTP_PORT: String(port), TALLY_PEER_PORT: String(port + 10) }
    this.nodes = Object.fromEntries([1, 2, 3].map((i) => [`n${i}`, `http://127.0.0.1:${port + i - 1}`]))
  }

  /** Starts a cluster that ends with this process, however that ends. */
  static async start() {
    const cluster = new Cluster(mkdtempSync(path.join(os.tmpdir(), 'tally-sdk-')), await freePorts())
    process.once('exit', () => cluster.end())
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))
    await cluster.run('up')
    return cluster
  }

  get endpoints() {
    return Object.values(this.nodes)
  }

  /** @param {...string} words a command of scripts/cluster.sh */
  async run(...words) {
    const { stdout } = await promisify(execFile)(script, words, { env: this.#environment })
    return stdout
  }

  /** @returns {Promise<string>} the ID of the node that was killed */
  async killLeader() {
    const killed = /^(n\d) was killed/.exec(await this.run('kill', 'leader'))
    if (!killed) throw new Error('no leader was killed')
    return killed[1]
  }

  end() {
    if (this.#ended) return
    this.#ended = true
    execFileSync(script, ['clean'], { env: this.#environment, stdio: 'ignore' })
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Why there can be no cluster here, or undefined. */
export function missingForCluster() {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'Go is missing, with which the nodes are built'
  }
}

/**
 * Says whether a test cannot run, which is a failure where nothing may be left out.
 *
 * @param {string | undefined} reason
 */
export function skipFor(reason) {
  if (reason && process.env.TALLY_TEST_STRICT === '1') throw new Error(`nothing may be skipped here: ${reason}`)
  return reason ? { skip: reason } : {}
}

/** Finds a port from which on 20 are free. */
async function freePorts() {
  for (let attempt = 0; attempt < 50; attempt++) {
    // Below those that systems give to outgoing connections.
    const first = 20_000 + Math.floor(Math.random() * 500) * 20
    const free = await Promise.all(Array.from({ length: 20 }, (_, i) => isFree(first + i)))
    if (free.every(Boolean)) return first
  }
  throw new Error('no free ports were found')
}

/** @param {number} port @returns {Promise<boolean>} */
function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
