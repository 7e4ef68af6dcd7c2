// Package report makes a page of a run, for people: report.html in the run's
// folder, which needs nothing from elsewhere, with main.png, its picture, and
// for each group that is not linearizable, or not known to be, the page of
// porcupine beside it.
//
// What the page says is taken from the history, the verdict, the logs of the
// nodes and what the caller knows of the run; it decides nothing. It never says
// that a run has passed: at best no violation was found in so many operations.
//
//	page.go      what the page shows, and page.html how
//	latency.go   operations by kind, with percentiles
//	series.go    rates and latencies over time
//	faults.go    faults from their begins and ends
//	roles.go     who led when, from the logs of the nodes
//	picture.go   a picture as a list of shapes; svg.go and png.go draw it
package report
