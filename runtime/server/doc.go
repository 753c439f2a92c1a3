// Package server serves a model over HTTP as OpenAI's API does, and has a client of
// such servers.
//
// Requests take turns token by token: whoever computes holds the one turn, and those
// who wait get it in the order they came. So a long answer does not keep a short one
// waiting, and every answer is what it would be alone.
package server
