// probe is the Go side of the tests: an ordinary go-spiffe workload, a rude one, and a stop-watch. Each subcommand
// prints one JSON object (watch: one a line) and exits 0, or a message on stderr and 1.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"
)

// options are the flags of every subcommand; each uses those it needs.
type options struct {
	socket      string
	audience    string
	destination string
	kind        string
	callers     int
	connections int
	count       int
	pid         int
	timeout     time.Duration
	duration    time.Duration
}

type command struct {
	help string
	run  func(options) (any, error)
}

var commands = map[string]command{
	"ids":        {"the SPIFFE IDs of one FetchX509SVID call, which is not repeated", runIDs},
	"x509":       {"NewX509Source: the SVID and its bundle", runX509},
	"jwt":        {"NewJWTSource: a token for -audience, validated here and by the agent", runJWT},
	"mtls":       {"a TLS 1.3 round trip between two sides that both use the X509Source", runMTLS},
	"descriptor": {"the published Workload API, as JSON", runDescriptor},
	"watch":      {"the first -count updates of the X.509 stream, one line each", runWatch},
	"hold":       {"open -count connections with a FetchX509SVID stream each, hold them until stdin ends", runHold},
	"burst":      {"-count connections in one instant, each wanting one X.509-SVID", runBurst},
	"flood": {"-kind unanswered: -connections connections of FetchX509SVID calls nobody waits for; -kind hangup: -count calls, hang up, again; " +
		"-kind reset: open and reset; -kind ping, -kind settings; each for -duration", runFlood},
	"bench-jwt":        {"-count warm FetchJWTSVID calls by -callers callers; CPU of -pid", runBenchJWT},
	"bench-x509":       {"-count fresh connections with one FetchX509SVID each; CPU of -pid", runBenchX509},
	"bench-credential": {"-count GetCredential calls for -destination on one connection; CPU of -pid", runBenchCredential},
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]].run == nil {
		usage()
		os.Exit(2)
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.socket, "socket", "", "path of the Workload API socket; default SPIFFE_ENDPOINT_SOCKET")
	flags.StringVar(&o.audience, "audience", "probe", "audience of JWT-SVIDs")
	flags.StringVar(&o.destination, "destination", "", "name of a destination")
	flags.StringVar(&o.kind, "kind", "", "which flood")
	flags.IntVar(&o.callers, "callers", 1, "callers at a time")
	flags.IntVar(&o.connections, "connections", 8, "connections at a time")
	flags.IntVar(&o.count, "count", 1, "how many")
	flags.IntVar(&o.pid, "pid", 0, "process whose CPU and memory are measured")
	flags.DurationVar(&o.timeout, "timeout", 20*time.Second, "limit for the whole command, or for each call of a burst")
	flags.DurationVar(&o.duration, "duration", 4*time.Second, "how long a flood lasts")
	if err := flags.Parse(os.Args[2:]); err != nil {
		os.Exit(2)
	}
	if o.socket == "" {
		o.socket = strings.TrimPrefix(os.Getenv("SPIFFE_ENDPOINT_SOCKET"), "unix://")
	}
	result, err := commands[os.Args[1]].run(o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "probe %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	if result != nil {
		printJSON(result)
	}
}

func usage() {
	names := make([]string, 0, len(commands))
	for name := range commands {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintln(os.Stderr, "usage: probe COMMAND [flags]")
	for _, name := range names {
		fmt.Fprintf(os.Stderr, "  %-17s %s\n", name, commands[name].help)
	}
}

func printJSON(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		fmt.Fprintf(os.Stderr, "probe: encode result: %v\n", err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}
