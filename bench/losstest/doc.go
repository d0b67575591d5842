// Package losstest holds the bus's promise over bad networks: its tests run nodes with their real transports, sockets and the
// kernel's TCP on hosts of package netem, whose links lose, reorder, duplicate, flap and change addresses, and compare what
// every node received with what every other emitted, event by event. How long the bus took to go on after a cut is
// logged, and never judged: that is for a machine that does nothing else.
//
// It has no code but its tests. They are skipped where netem does not run; the long variants run with VERBOSE_LONG=1.
package losstest
