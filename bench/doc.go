// Command bench measures the bus beside what it is made of: quic-go, crypto/tls and TCP with as little around them as a
// program can get by with. They run in the same pass, in turn, in processes of their own, and every
// figure comes with its ratio to theirs.
//
//	go run ./bench            one-way and ping-pong, a few minutes
//	go run ./bench --quick    a minute
//	go run ./bench --all      everything, hours
//	go run ./bench --help     what can be selected
//
// README.md in this directory has the method, what the columns mean and the format of the results; NOTES.md what was
// tried.
package main
