// Package planted is where the product asks whether it is to make a mistake.
//
// A checker that has never found anything may be unable to. So there is a build
// in which the nodes make one known mistake, which jepsen-lite must find: with
// the tags jepsen and planted, and the mistake's name in the environment
// variable PLANTED_BUG. Every other build has the constant false instead of the
// question, and nothing of what would follow.
//
// Most mistakes are made between the parts of a node, in package
// jepsen-lite/planted. Asked for here are those that only the inside can make.
package planted
