// Package suite is the benchmark: it measures contenders in turn, in processes of their own, compares them pass by pass, and prints and
// keeps what came out. A [Program] says who they are; the method is in bench/README.md.
package suite
