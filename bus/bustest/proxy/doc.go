// Package proxy stands between two nodes under test and harms what passes: after a chosen number of bytes it ends,
// resets, stalls or swallows a TCP connection, or the packets of QUIC.
package proxy
