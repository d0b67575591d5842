// Package host knows the machine a benchmark runs on: what it is, what a process has used of it, which processor a
// process may use, and what the kernel counts on a TCP socket.
package host
