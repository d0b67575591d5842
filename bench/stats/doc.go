// Package stats reduces what several passes measured to what a reader compares: a range with its median, ratios
// pass by pass, and percentiles of latencies.
package stats
