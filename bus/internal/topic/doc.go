// Package topic is the grammar of topics and patterns, and finds the patterns that
// match a topic.
//
// A topic is one or more tokens joined by dots: "quake.usgs.tsunami". A token is
// one or more characters of UTF-8, without dots, spaces and ASCII control
// characters; a topic is at most [MaxLen] bytes. A pattern is a topic in which the
// token "*" stands for any one token, and the token ">", which can only be the
// last, for one or more. In a topic those two are not tokens.
//
//	pattern      matches                      does not match
//	quake.*      quake.usgs                   quake, quake.usgs.tsunami
//	quake.>      quake.usgs, quake.usgs.new   quake
//	*.usgs       quake.usgs                   usgs
//	>            everything
//
// Only [Validate] and [ValidatePattern] judge what they are given. The rest of the
// package expects topics and patterns that have passed them; others match
// something or nothing, but do no harm.
package topic
