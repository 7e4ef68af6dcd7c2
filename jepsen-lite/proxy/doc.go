// Package proxy is a byte proxy between two nodes that behaves like a bad
// network: it delays, drips, stalls and resets connections, and opens ghosts of
// them. It knows nothing of what the bytes mean.
package proxy
