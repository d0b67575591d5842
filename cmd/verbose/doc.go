// Command verbose links shells and scripts with a bus: it emits and receives
// events, routes them, measures round trips, shows who is linked to whom, issues and renews
// identities, and shows in a demo what happens to events when connections are cut.
//
// Run verbose --help for the commands. Exit status: 0 when everything asked for was done, 1 on
// an error, 2 on wrong usage, 3 when events are known to be missing.
package main
