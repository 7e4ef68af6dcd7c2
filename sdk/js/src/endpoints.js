/**
 * The nodes of a cluster, and which of them is asked. Any node answers any
 * request, so it is the same one until it fails.
 */
export class Endpoints {
  #urls
  #index

  /** @param {readonly string[]} urls base URLs of the nodes */
  constructor(urls) {
    if (!Array.isArray(urls) || urls.length === 0) throw new TypeError('give the nodes as endpoints: [\'http://127.0.0.1:8101\', ...], or one as baseURL')
    this.#urls = urls.map(checkEndpoint)
    // Clients with the same list spread over the nodes.
    this.#index = Math.floor(Math.random() * urls.length)
  }

  get current() {
    return this.#urls[this.#index]
  }

  get count() {
    return this.#urls.length
  }

  /**
   * Goes on to the next node, unless somebody who failed at the same one has
   * done so already.
   *
   * @param {string} url the node that failed
   */
  failed(url) {
    if (url === this.current) this.#index = (this.#index + 1) % this.#urls.length
  }
}

/** @param {string} text */
function checkEndpoint(text) {
  let url
  try {
    url = new URL(text)
  } catch {
    throw new TypeError(`${JSON.stringify(text)} is not a URL; an endpoint is one such as http://127.0.0.1:8101`)
  }
  if (!/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    throw new TypeError(`${JSON.stringify(text)} is no endpoint; give http:// or https://, host, port and at most a path`)
  }
  return url.origin + url.pathname.replace(/\/+$/, '')
}
