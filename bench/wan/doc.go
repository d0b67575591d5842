// Command wan measures the bus across bad links, beside the raw transport under it: raw QUIC, and TLS over TCP with cubic and
// with bbr. Two processes run on two hosts of an emulated network (package netem), which takes Linux and root.
//
//	go run ./bench/wan            RTT 40 ms, loss 1 %, 20 Mbit/s: some five minutes
//	go run ./bench/wan --all      every link, ten hours
//	go run ./bench/wan --pattern one-way --rtt 1ms,100ms --loss 0,3 --lanes 1,8
//	go run ./bench/wan --help     what can be selected
//
// The method and the format of the results are the suite's: bench/README.md, "Across bad links".
package main
